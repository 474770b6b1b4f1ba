"""`texlens runs`"""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from texlens.cli.shared import Json, print_json, result_console

if TYPE_CHECKING:
    from rich.table import Table

    from texlens.core.run_folder import RunFolder


def runs(
    output: Annotated[Path, typer.Option(help="The folder that holds run folders.")] = Path("runs"),
    as_json: Json = False,
) -> None:
    """List run folders with their state, and each result with its data, rows and exact match.

    Example:

        texlens runs --json
    """
    from texlens.core.run_folder import list_runs

    rows = [_row(run) for run in list_runs(output)]
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


def _row(run: "RunFolder") -> dict[str, Any]:
    """A damaged run is reported as such and hides none of the others."""
    from texlens.core.errors import RunError

    manifest: dict[str, Any] = {}
    state = "damaged"
    results: list[dict[str, Any]] = []
    with contextlib.suppress(RunError):
        manifest, state = run.manifest, run.state
        results = [_result(run, label, path) for label, path in run.comparisons().items()]
    main_result = next((result for result in results if result["label"] == "test"), None)
    return {
        "run": str(run.path),
        "state": state,
        "base": manifest.get("base"),
        "steps": manifest.get("training", {}).get("steps"),
        "created": manifest.get("created"),
        "scores": main_result["scores"] if main_result else {},
        "results": results,
    }


def _result(run: "RunFolder", label: str, path: Path) -> dict[str, Any]:
    """Version 0.1 did not store which data a comparison was measured on."""
    comparison = run.read_object(str(path.relative_to(run.path)))
    systems = comparison.get("systems", {})
    return {
        "label": label,
        "data": comparison.get("data") or {"path": "its own data", "split": label},
        "rows": comparison.get("rows", 0),
        "train_overlap": comparison.get("train_overlap"),
        "scores": {name: system["scores"]["exact_match"]["value"] for name, system in systems.items()},
    }
