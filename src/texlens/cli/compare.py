"""`texlens compare`"""

from typing import Annotated

import typer

from texlens.cli.shared import Json, Overrides, RunArgument, message_console, print_json, result_console


def compare(
    run: RunArgument,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    overrides: Overrides = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Read the rows again although predictions are there.")] = False,
    as_json: Json = False,
) -> None:
    """Base against adapter, row by row: scores with intervals, McNemar's test, and the report.

    Example:

        texlens compare runs/nano --json > compare.json
    """
    from texlens.evaluate.run import compare_run, open_run
    from texlens.evaluate.tables import comparison_table

    config, folder = open_run(run, overrides or ())
    with folder.locked():
        comparison = compare_run(config, folder, split=split, fresh=fresh, console=message_console())
    if as_json:
        print_json(comparison.to_json())
    else:
        console = result_console()
        console.print(comparison_table(comparison))
        console.print(f"report: {folder.report}")
