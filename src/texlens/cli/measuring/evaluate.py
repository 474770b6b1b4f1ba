"""`texlens evaluate`"""

from pathlib import Path
from typing import Annotated, Literal

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
    from texlens.workflows.evaluate_model import evaluate_model, is_of_run

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
    if is_of_run(model, data):
        check_split(split)
    about, scores = evaluate_model(
        model,
        data,
        subset=subset,
        split=split,
        system=system,
        checkpoint=checkpoint,
        overrides=overrides or (),
        use_cache=uses_cache(cache, ignore_cache),
        console=message_console(),
    )
    if as_json:
        print_json({**about, **scores.to_json()})
        return
    from texlens.evaluation.tables import scores_table

    console = result_console()
    console.print(scores_table(scores, show_all=show_all))
    if claim := about.get("claim"):
        console.print(claim, markup=False)
