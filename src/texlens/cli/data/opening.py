"""What the commands that look at a whole data set share: its splits and a family's geometry."""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from texlens.core.errors import one_line
from texlens.models.families import family_from_option, option_names

if TYPE_CHECKING:
    from rich.console import Console

    from texlens.data.geometry import ImageGeometry
    from texlens.data.load import Rows

FamilyOption = Annotated[
    str, typer.Option("--family", metavar="FAMILY", help=f"Whose image limits apply: {', '.join(option_names())}.")
]

EditsOption = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Apply a file of edits, as the data page writes it; FILE@17: its version 17."),
]


def open_splits(
    source: str,
    *,
    subset: str | None = None,
    format: str = "auto",
    allow_outside: bool = False,
    edits: str | None = None,
) -> dict[str, "Rows"]:
    """
    Raises:
        DataError: nothing readable there.
    """
    from texlens.data.load import load_split
    from texlens.data.readers.protocol import ReadOptions
    from texlens.data.readers.registry import list_splits

    names = list_splits(source, format, ReadOptions(subset, allow_outside=allow_outside))
    return {
        name: load_split(source, split=name, subset=subset, format=format, allow_outside=allow_outside, edits=edits)
        for name in names
    }


def print_ignored(splits: "Mapping[str, Rows]", console: "Console") -> None:
    """A line where a folder holds files that are no rows: how many of which kind.

    Example:
        ignored: 3 files that are no rows (.pdf 2, __MACOSX 1)
    """
    if counts := ignored_files(splits):
        kinds = ", ".join(f"{one_line(kind)} {count:,}" for kind, count in counts.items())
        total = sum(counts.values())
        console.print(f"ignored: {total:,} file{'' if total == 1 else 's'} that are no rows ({kinds})")


def ignored_files(splits: "Mapping[str, Rows]") -> dict[str, int]:
    """Files in the folders of the splits that are no rows, by suffix or by what they are."""
    counts: Counter[str] = Counter()
    for rows in splits.values():
        counts.update(rows.ignored)
    return dict(counts.most_common())


def geometry_for(family: str, min_pixels: int | None, max_pixels: int | None) -> "ImageGeometry":
    """
    Raises:
        ConfigError: an unknown family, or an impossible budget.
    """
    from texlens.models.preprocessor import geometry_of

    model_type = family_from_option(family).model_type
    return geometry_of({"model_type": model_type}, min_pixels=min_pixels, max_pixels=max_pixels)
