"""`texlens data split`"""

from pathlib import Path
from typing import Annotated

import typer

from texlens.cli.data.opening import open_splits
from texlens.cli.data.statistics import Overwrite, Seed, print_statistics
from texlens.cli.progress import row_bar
from texlens.cli.shared import Json, message_console

Share = Annotated[float, typer.Option(min=0, max=1, help="This split's share of all rows.")]


def split(
    source: Annotated[str, typer.Argument(metavar="DIR", help="A data set; rows of all its splits are split again.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="DIR", help="Default: DIR-split.")] = None,
    by: Annotated[
        str, typer.Option(help="What must not are in two splits: label, image (exact content), label,image; or row.")
    ] = "label",
    train: Share = 0.9,
    validation: Share = 0.05,
    test: Share = 0.05,
    seed: Seed = 0,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Divide all rows into train, validation and test so that no label (or no image) is in two of them.

    Labels are compared without whitespace, images by the content of their files. By row, leaks are up to chance.

    Examples:

        texlens data split data/mine -o data/divided
        texlens data split data/mine -o data/divided --by label,image --train .8 --validation .1 --test .1 --seed 7
    """
    from texlens.data.convert import split_rows, write_parts

    shares = {"train": train, "validation": validation, "test": test}
    output = output or Path(f"{source.rstrip('/')}-split")
    splits = open_splits(source)
    keys = [key.strip() for key in by.split(",")]
    total = sum(rows.total for rows in splits.values())
    console = message_console()
    with row_bar(console, f"grouping by {by}", total) as on_row:
        parts = split_rows(splits, shares, by=keys, seed=seed, on_row=on_row)
    made_by = {"command": "split", "source": source, "by": keys, "shares": shares, "seed": seed}
    with row_bar(console, "writing rows", total) as on_row:
        statistics, stood = write_parts(output, parts, made_by, overwrite=overwrite, on_row=on_row)
    print_statistics(output, statistics, stood, as_json)
