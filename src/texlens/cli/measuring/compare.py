"""`texlens compare`"""

from pathlib import Path
from typing import Annotated

import typer

from texlens.cli.shared import Json, Overrides, RunArgument, message_console, print_json, result_console


def compare(
    run: RunArgument,
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="DIR", help="Folders that `texlens export` made of this run.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    overrides: Overrides = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Read the rows again although predictions are there.")] = False,
    as_json: Json = False,
) -> None:
    """Base, adapter and exported folders, row by row: scores with intervals, McNemar's test, and the report.

    Examples:

        texlens compare runs/nano --json > compare.json

        texlens compare runs/nano exported/nano exported/nano-nf4
    """
    from texlens.evaluate.run import against_adapter, compare_run, named_artifacts, open_run
    from texlens.evaluate.tables import comparison_table, systems_table

    config, folder = open_run(run, overrides or ())
    artifacts = named_artifacts(folders or [])
    with folder.locked():
        comparison = compare_run(
            config, folder, artifacts=artifacts, split=split, fresh=fresh, console=message_console()
        )
    beside = against_adapter(config, comparison) if artifacts else None
    if as_json:
        told = comparison.to_json()
        print_json({**told, "against_adapter": beside.to_json()["paired"]} if beside else told)
        return
    console = result_console()
    console.print(systems_table(comparison, beside) if beside else comparison_table(comparison))
    console.print(f"report: {folder.report}")
