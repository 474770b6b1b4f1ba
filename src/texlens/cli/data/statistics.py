"""The statistics that commands which write data sets print, and the options they share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from texlens.cli.shared import print_json, result_console

Output = Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The folder to write.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the data set that stands at -o.")]
Subset = Annotated[str | None, typer.Option(help="The data set's configuration, such as small.")]
Format = Annotated[str, typer.Option("--format", help="How rows are read; auto looks at the files.")]
Outside = Annotated[bool, typer.Option("--allow-outside", help="Let files name images outside their own folder.")]
ImageColumn = Annotated[str, typer.Option(help="The column that holds or names the image.")]
TextColumn = Annotated[str, typer.Option(help="The column of the text.")]
Seed = Annotated[int, typer.Option(help="Decides every draw.")]
MAX_SHOWN = 5


def print_statistics(folder: Path, statistics: Mapping[str, Any], stood_there: bool, as_json: bool) -> None:
    """Rows in = kept + rejected + merged, in all and of each split, and where the rejected ones are named."""
    if as_json:
        print_json({"folder": str(folder), "unchanged": stood_there, **statistics})
        return
    console = result_console()
    console.print(f"{folder}: {_counts(statistics)}{', as it stood' if stood_there else ''}", markup=False)
    for split, counts in statistics["splits"].items():
        console.print(f"  {split}: {_counts(counts)}", markup=False)
    if statistics["rejected"]:
        kinds = ", ".join(f"{kind} {rows:,}" for kind, rows in statistics["rejected_by_kind"].items())
        console.print(f"rejected: {kinds}; each with its reason in {folder / 'rejected.jsonl'}", markup=False)
        for line in _first_lines(folder / "rejected.jsonl"):
            console.print(f"  {line}", markup=False)


def _counts(statistics: Mapping[str, int]) -> str:
    """
    Example:
        110 rows in = 100 kept + 9 rejected + 1 merged
    """
    counts = {name: f"{statistics[name]:,}" for name in ("rows_in", "kept", "rejected", "merged")}
    return "{rows_in} rows in = {kept} kept + {rejected} rejected + {merged} merged".format(**counts)


def _first_lines(path: Path) -> list[str]:
    import json

    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line, _ in zip(file, range(MAX_SHOWN), strict=False)]
    return [f"{row['where']}: {row['reason']}" for row in rows]
