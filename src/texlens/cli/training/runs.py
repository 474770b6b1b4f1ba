"""`texlens runs`"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from texlens.cli.shared import Json, print_json, result_console

if TYPE_CHECKING:
    from rich.table import Table


def runs(
    output: Annotated[Path, typer.Option(help="The folder that holds run folders.")] = Path("runs"),
    as_json: Json = False,
) -> None:
    """List run folders with their state, and each result with its data, rows and exact match.

    Example:

        texlens runs --json
    """
    from texlens.core.run_folder import list_runs
    from texlens.workflows.run_summary import summarize_run

    rows = [summarize_run(run) for run in list_runs(output)]
    if as_json:
        print_json({"runs": rows})
        return
    result_console().print(_table(rows) if rows else f"no run folder in {output}")


def _table(rows: list[dict]) -> "Table":
    """One line per run, and one more for each result after the first."""
    from rich.table import Table

    table = Table(box=None)
    for name in ("run", "state", "steps", "measured on", "rows", "exact match"):
        table.add_column(name, overflow="fold")
    for row in rows:
        first, *others = row["results"] or [None]
        run = (row["run"], row["state"] or "", str(row["steps"] or ""))
        table.add_row(*map(Text, (*run, *_result_cells(first))))
        for result in others:
            table.add_row("", "", "", *map(Text, _result_cells(result)))
    return table


def _result_cells(result: dict | None) -> tuple[str, str, str]:
    if result is None:
        return "", "", ""
    data = result["data"]
    name = f"{' '.join(str(data[key]) for key in ('path', 'subset') if data.get(key))}, split {data.get('split')}"
    return name, f"{result['rows']:,}", "\n".join(f"{system} {value:.1%}" for system, value in result["scores"].items())
