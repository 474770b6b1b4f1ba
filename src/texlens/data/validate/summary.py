"""What validation found, for the terminal: a line a kind, some rows of each, the overlaps of splits."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from texlens.data.validate.findings import KINDS, SEVERITIES
from texlens.data.validate.run import Validation

STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}


def show_validation(console: Console, validation: Validation, *, shown: int | None = 3) -> None:
    """`shown` rows of each kind; None is all."""
    rows = ", ".join(f"{split} {count:,}" for split, count in validation.rows.items())
    labels = "LaTeX" if validation.latex else "plain text"
    console.print(f"{sum(validation.rows.values()):,} rows ({rows}); answers are {labels}", markup=False)
    for kind, count in validation.counts.items():
        about = KINDS[kind]
        severity = (f"{about.severity:<8}", STYLES[about.severity])
        console.print(Text.assemble(severity, (f"{count:>9,}  ", "bold"), (f"{kind:<17}", "cyan"), about.title))
        if about.severity == "note":
            continue
        of_kind = [finding for finding in validation.findings if finding.kind == kind]
        for finding in of_kind[:shown]:
            console.print(f"                   {finding}", style="dim", markup=False)
        if shown is not None and count > shown:
            console.print(f"                   and {count - shown:,} more (--all or --json names them)", style="dim")
    leaking = [overlap for overlap in validation.overlaps if overlap.leaks]
    if leaking:
        console.print("Splits share rows:", style="bold")
        for overlap in leaking:
            console.print(f"  {overlap}", markup=False)
    numbers = [(severity, validation.of_severity(severity)) for severity in SEVERITIES]
    counts = [f"{number:,} {severity}{'' if number == 1 else 's'}" for severity, number in numbers]
    clean = not validation.of_severity("error")
    console.print(", ".join(counts), style="green" if clean else "red")


def print_fix_statistics(console: Console, fixed: Mapping, folder: Path | None) -> None:
    """Where the rows went."""
    table = Table(box=None, pad_edge=False)
    for name in ("rows in", "kept", "rejected", "merged"):
        table.add_column(name, justify="right")
    table.add_row(*(f"{fixed[name]:,}" for name in ("rows_in", "kept", "rejected", "merged")))
    console.print(table)
    rejected_kinds = [f"{count:,} {kind}" for kind, count in fixed["rejected_by_kind"].items()]
    if rejected_kinds:
        console.print(f"rejected: {', '.join(rejected_kinds)}", markup=False)
    changes = [f"{fixed[name]:,} {name}" for name in ("moved", "inverted", "padded") if fixed[name]]
    if changes:
        console.print(f"of those kept: {', '.join(changes)}", markup=False)
    splits = ", ".join(f"{split} {rows:,}" if rows else f"{split} empty" for split, rows in fixed["splits"].items())
    console.print(f"{folder}: {splits}", markup=False)
