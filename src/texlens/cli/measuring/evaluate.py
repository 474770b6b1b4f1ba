"""`texlens evaluate`"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from texlens.cli.shared import (
    CacheChoice,
    Checkpoint,
    Json,
    OldNoCache,
    Overrides,
    ShowAll,
    check_split,
    message_console,
    print_json,
    result_console,
    uses_cache,
)

if TYPE_CHECKING:
    from texlens.config.run import RunConfig
    from texlens.core.run_folder import RunFolder
    from texlens.metrics.scores import Scores


def evaluate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A run folder, a checkpoint's folder, a hub id, or nano.")
    ],
    data: Annotated[
        str | None, typer.Option(metavar="PATH", help="Rows to read, as in data.path; a run has its own.")
    ] = None,
    subset: Annotated[str | None, typer.Option(help="Configuration of the data set, as in data.subset.")] = None,
    split: Annotated[
        str, typer.Option(help="train, validation or test; of --data for a checkpoint, the data set's own name.")
    ] = "test",
    system: Annotated[
        Literal["adapter", "base"] | None, typer.Option(help="Which of a run reads the rows; default: the adapter.")
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Public test sets: crohme, hme100k, mathwriting, unimer, im2latexv2."),
    ] = None,
    suite_data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of test sets; default: $TEXLENS_BENCHMARKS, or data/benchmarks."),
    ] = None,
    checkpoint: Checkpoint = None,
    overrides: Overrides = None,
    show_all: ShowAll = False,
    cache: CacheChoice = True,
    ignore_cache: OldNoCache = False,
    as_json: Json = False,
) -> None:
    """Score a run's adapter, or any checkpoint, on a split, with 95% intervals.

    Examples:

        texlens evaluate runs/nano --split test

        texlens evaluate runs/nano --data linxy/LaTeX_OCR --subset human_handwrite --json

        texlens evaluate nano --data demo --set evaluate.max_rows=8

        texlens evaluate runs/mine --suite crohme,mathwriting --suite-data /data/benchmarks
    """
    from texlens.core.errors import ConfigError
    from texlens.core.run_folder import MANIFEST
    from texlens.inference.opening.run_checkpoint import run_of_weights

    if suite:
        from texlens.cli.measuring.suite import evaluate_suite

        row_options = {"--data": data, "--subset": subset, "--split": split if split != "test" else None}
        if extra := [name for name, value in row_options.items() if value]:
            raise ConfigError(f"{extra[0]}: --suite names the rows; leave it out")
        evaluate_suite(
            model,
            suite,
            suite_data,
            system=system,
            checkpoint=checkpoint,
            overrides=overrides or (),
            use_cache=uses_cache(cache, ignore_cache),
            as_json=as_json,
        )
        return
    if suite_data:
        raise ConfigError("--suite-data belongs to --suite; leave it out")
    if subset and not data:
        raise ConfigError("--subset belongs to --data; give --set data.subset=… to change a run's own")
    if (Path(model) / MANIFEST).is_file() or (run_of_weights(Path(model)) and not data):
        check_split(split)
        config, folder = _opened(Path(model), data, subset, overrides or (), checkpoint)
        about, scores = _of_run(config, folder, split, system or "adapter", uses_cache(cache, ignore_cache))
    elif checkpoint:
        raise ConfigError(f"--checkpoint {checkpoint}: {model} is not a run folder; leave it out")
    elif data is None:
        raise ConfigError(f"{model}: not a run folder; to score a checkpoint, name the rows with --data PATH")
    elif system:
        raise ConfigError(f"--system {system}: {model} is one system, not a run folder; leave it out")
    else:
        about, scores = _of_checkpoint(model, data, subset, split, overrides or ())
    if as_json:
        print_json({**about, **scores.to_json()})
        return
    from texlens.evaluation.tables import scores_table

    console = result_console()
    console.print(scores_table(scores, show_all=show_all))
    if claim := about.get("claim"):
        console.print(claim, markup=False)


def _opened(
    path: Path, data: str | None, subset: str | None, overrides: Sequence[str], checkpoint: str | None
) -> tuple["RunConfig", "RunFolder"]:
    from texlens.evaluation.saved_run import open_run

    config, folder = open_run(path, overrides, checkpoint)
    if data:
        config = config.model_copy(update={"data": config.data.model_copy(update={"path": data, "subset": subset})})
    return config, folder


def _of_run(
    config: "RunConfig", folder: "RunFolder", split: str, system: str, use_cache: bool
) -> tuple[dict[str, Any], "Scores"]:
    from texlens.evaluation.run import evaluate_run

    with folder.locked():
        scores, about = evaluate_run(
            config, folder, split=split, system=system, use_cache=use_cache, console=message_console()
        )
    return {"run": str(folder.path), "split": split, "system": system, **about}, scores


def _of_checkpoint(
    model: str, data: str, subset: str | None, split: str, overrides: Sequence[str]
) -> tuple[dict[str, Any], "Scores"]:
    from texlens.config.load import build_config
    from texlens.evaluation.run import evaluate_checkpoint

    rows = {"path": data, "subset": subset, "splits": {"train": split, "validation": None, "test": split}}
    config = build_config({"model": {"path": model}, "data": rows}, where=f"{model} on {data}", overrides=overrides)
    scores = evaluate_checkpoint(config, console=message_console())
    return {"model": model, "data": data, "subset": subset, "split": split}, scores
