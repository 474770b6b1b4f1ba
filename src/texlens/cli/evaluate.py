"""`texlens evaluate`"""

from typing import Annotated, Literal

import typer

from texlens.cli.shared import Json, Overrides, RunArgument, message_console, print_json, result_console


def evaluate(
    run: RunArgument,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    system: Annotated[Literal["adapter", "base"], typer.Option(help="What reads the rows.")] = "adapter",
    overrides: Overrides = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Read the rows again although predictions are there.")] = False,
    as_json: Json = False,
) -> None:
    """Score a run's adapter on a split, with 95% intervals.

    Examples:

        texlens evaluate runs/nano --split test

        texlens evaluate runs/nano --set data.path=linxy/LaTeX_OCR --set data.subset=human_handwrite --json
    """
    from texlens.evaluate.run import evaluate_run, open_run
    from texlens.evaluate.tables import scores_table

    config, folder = open_run(run, overrides or ())
    with folder.locked():
        scores = evaluate_run(config, folder, split=split, system=system, fresh=fresh, console=message_console())
    if as_json:
        print_json({"run": str(folder.path), "split": split, "system": system, **scores.to_json()})
    else:
        result_console().print(scores_table(scores))
