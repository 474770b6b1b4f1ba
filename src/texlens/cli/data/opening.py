"""What the commands that look at a whole data set share: its splits and a family's geometry."""

from typing import TYPE_CHECKING, Annotated

import typer

from texlens.models.families import family_from_option, option_names

if TYPE_CHECKING:
    from texlens.data.geometry import ImageGeometry
    from texlens.data.load import Rows

FamilyOption = Annotated[
    str, typer.Option("--family", metavar="FAMILY", help=f"Whose image limits apply: {', '.join(option_names())}.")
]


def open_splits(
    source: str, *, subset: str | None = None, format: str = "auto", allow_outside: bool = False
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
        name: load_split(source, split=name, subset=subset, format=format, allow_outside=allow_outside)
        for name in names
    }


def geometry_for(family: str, min_pixels: int | None, max_pixels: int | None) -> "ImageGeometry":
    """
    Raises:
        ConfigError: an unknown family, or an impossible budget.
    """
    from texlens.models.preprocessor import geometry_of

    model_type = family_from_option(family).model_type
    return geometry_of({"model_type": model_type}, min_pixels=min_pixels, max_pixels=max_pixels)
