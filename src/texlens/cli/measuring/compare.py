"""`texlens compare`"""

from pathlib import Path
from typing import Annotated

import typer

from texlens.cli.shared import (
    CacheChoice,
    Json,
    OldNoCache,
    Overrides,
    RunArgument,
    ShowAll,
    Split,
    check_split,
    message_console,
    print_json,
    result_console,
    uses_cache,
)


def compare(
    run: RunArgument,
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="DIR", help="Folders that `texlens export` made of this run.")
    ] = None,
    split: Split = "test",
    overrides: Overrides = None,
    show_all: ShowAll = False,
    cache: CacheChoice = True,
    ignore_cache: OldNoCache = False,
    as_json: Json = False,
) -> None:
    """Compare base, adapter and exported folders row by row: scores with intervals, McNemar's test, and the report.

    Examples:

        texlens compare runs/nano --json > compare.json

        texlens compare runs/nano exported/nano exported/nano-nf4
    """
    from texlens.evaluation.run import compare_run
    from texlens.evaluation.saved_run import open_run
    from texlens.evaluation.sources import names_of_folders
    from texlens.evaluation.tables import comparison_table, systems_table

    check_split(split)
    config, folder = open_run(run, overrides or ())
    exports = names_of_folders(folders or [])
    with folder.locked():
        result = compare_run(
            config,
            folder,
            exports=exports,
            split=split,
            use_cache=uses_cache(cache, ignore_cache),
            console=message_console(),
        )
    against_adapter = result.comparison.with_reference("adapter", without=["base"]) if exports else None
    if as_json:
        value = result.to_json()
        print_json({**value, "against_adapter": against_adapter.to_json()["paired"]} if against_adapter else value)
        return
    console = result_console()
    if against_adapter:
        console.print(systems_table(result.comparison, result.title))
        console.print(systems_table(against_adapter, "Exports compared with the adapter"))
    else:
        console.print(comparison_table(result.comparison, result.title, show_all=show_all))
    console.print(f"report: {result.report}")
