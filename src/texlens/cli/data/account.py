"""What became of the rows, as the commands that write data sets tell it, and the options they share."""

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
NAMED_AT_MOST = 5


def print_account(folder: Path, account: Mapping[str, Any], stood_there: bool, as_json: bool) -> None:
    """Rows in = kept + refused + merged, in all and of each split, and where the refused ones are named."""
    if as_json:
        print_json({"folder": str(folder), "stood_there": stood_there, **account})
        return
    console = result_console()
    console.print(f"{folder}: {_counts(account)}{', as it stood' if stood_there else ''}", markup=False)
    for split, counts in account["splits"].items():
        console.print(f"  {split}: {_counts(counts)}", markup=False)
    if account["refused"]:
        kinds = ", ".join(f"{kind} {rows:,}" for kind, rows in account["refused_by_kind"].items())
        console.print(f"refused: {kinds}; each with its reason in {folder / 'refused.jsonl'}", markup=False)
        for line in _first_lines(folder / "refused.jsonl"):
            console.print(f"  {line}", markup=False)


def _counts(account: Mapping[str, int]) -> str:
    """
    Example:
        110 rows in = 100 kept + 9 refused + 1 merged
    """
    kept, refused, merged = (account[name] for name in ("kept", "refused", "merged"))
    return f"{account['rows_in']:,} rows in = {kept:,} kept + {refused:,} refused + {merged:,} merged"


def _first_lines(path: Path) -> list[str]:
    import json

    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line, _ in zip(file, range(NAMED_AT_MOST), strict=False)]
    return [f"{row['where']}: {row['reason']}" for row in rows]
