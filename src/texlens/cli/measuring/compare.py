"""`texlens compare`"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from texlens.cli.shared import (
    CacheChoice,
    Checkpoint,
    Json,
    OldNoCache,
    Overrides,
    ShowAll,
    Split,
    check_split,
    message_console,
    print_json,
    result_console,
    uses_cache,
)

if TYPE_CHECKING:
    from rich.console import Console

    from texlens.evaluation.measured import MeasuredComparison


def compare(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run whose rows are read, or one of its checkpoints.")],
    systems: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SYSTEM]...",
            help="Runs, checkpoints, exported folders, bare models, endpoints (http://…/v1#model), predictions.jsonl.",
        ),
    ] = None,
    split: Split = "test",
    checkpoint: Checkpoint = None,
    overrides: Overrides = None,
    show: Annotated[
        int, typer.Option(metavar="N", min=0, help="Also print so many rows, as every system reads them.")
    ] = 0,
    show_all: ShowAll = False,
    cache: CacheChoice = True,
    ignore_cache: OldNoCache = False,
    as_json: Json = False,
) -> None:
    """Compare base, adapter and any other systems row by row: scores with intervals, McNemar's test, and the report.

    Examples:

        texlens compare runs/nano --json > compare.json

        texlens compare runs/nano --show 5

        texlens compare runs/nano runs/nano-2 exported/nano nano predictions.jsonl
    """
    from texlens.evaluation.run import compare_run
    from texlens.evaluation.saved_run import open_run

    check_split(split)
    config, folder = open_run(run, overrides or (), checkpoint)
    with folder.locked():
        result = compare_run(
            config,
            folder,
            others=systems or [],
            split=split,
            use_cache=uses_cache(cache, ignore_cache),
            console=message_console(),
        )
    if as_json:
        value = result.to_json()
        against_adapter = _against_adapter(result)
        print_json({**value, "against_adapter": against_adapter.to_json()["paired"]} if against_adapter else value)
    else:
        print_comparison(result, result_console(), show=show, show_all=show_all)


def print_comparison(
    result: "MeasuredComparison", console: "Console", *, show: int = 0, show_all: bool = False
) -> None:
    """The table (two with systems beyond the run's own), rows where asked for, and where the report is."""
    from texlens.evaluation.row_view import rows_text
    from texlens.evaluation.tables import comparison_table, systems_table

    against_adapter = _against_adapter(result)
    if against_adapter:
        console.print(systems_table(result.comparison, result.title))
        console.print(systems_table(against_adapter, "Other systems compared with the adapter"))
        if show_all:
            for name in (others := [pair.system for pair in against_adapter.pairs]):
                single = against_adapter.with_reference("adapter", without=[other for other in others if other != name])
                console.print(comparison_table(single, f"Every score of adapter and {name}", show_all=True))
        for line in result.lines_on_overlap():
            console.print(line, markup=False)
    else:
        console.print(comparison_table(result.comparison, result.title, show_all=show_all))
    if show:
        console.print(rows_text(result.comparison, show, result.row_order), markup=False)
    console.print(f"report: {result.report}", markup=False)


def _against_adapter(result: "MeasuredComparison"):
    has_others = len(result.comparison.systems) > 2
    return result.comparison.with_reference("adapter", without=["base"]) if has_others else None
