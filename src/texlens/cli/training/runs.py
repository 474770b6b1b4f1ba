"""`texlens runs`"""

import contextlib
from pathlib import Path
from typing import Annotated, Any

import typer

from texlens.cli.shared import Json, print_json, result_console


def runs(
    output: Annotated[Path, typer.Option(help="The folder that holds run folders.")] = Path("runs"),
    as_json: Json = False,
) -> None:
    """List run folders with their state and scores.

    Example:

        texlens runs --json
    """
    from texlens.core.run_folder import list_runs

    rows = [_row(run) for run in list_runs(output)]
    if as_json:
        print_json({"runs": rows})
        return
    from rich.table import Table

    table = Table("run", "state", "base", "steps", "exact match, base", "exact match, adapter", "created", box=None)
    for row in rows:
        table.add_row(
            row["run"],
            row["state"],
            row["base"] or "",
            str(row["steps"] or ""),
            *(f"{row['scores'][name]:.1%}" if name in row["scores"] else "" for name in ("base", "adapter")),
            row["created"] or "",
        )
    result_console().print(table if rows else f"no run folder in {output}")


def _row(run) -> dict:
    """One damaged run is told as such and hides none of the others."""
    from texlens.core.errors import RunError

    manifest: dict[str, Any] = {"state": "damaged"}
    comparison: dict[str, Any] = {}
    with contextlib.suppress(RunError):
        manifest, comparison = run.manifest, run.read_json("scores/compare.test.json") or {}
    systems = comparison.get("systems", {})
    return {
        "run": str(run.path),
        "state": manifest.get("state"),
        "base": manifest.get("base"),
        "steps": manifest.get("training", {}).get("steps"),
        "created": manifest.get("created"),
        "scores": {name: system["scores"]["exact_match"]["value"] for name, system in systems.items()},
    }
