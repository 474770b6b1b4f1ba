"""What the commands that look at a whole data set share: its splits and a family's geometry."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from texlens.data.geometry import ImageGeometry
    from texlens.data.load import Rows


def open_splits(
    place: str, *, subset: str | None = None, format: str = "auto", allow_outside: bool = False
) -> dict[str, "Rows"]:
    """
    Raises:
        DataError: nothing readable there.
    """
    from texlens.data.load import load_split
    from texlens.data.readers.protocol import ReadOptions
    from texlens.data.readers.registry import list_splits

    names = list_splits(place, format, ReadOptions(subset, allow_outside=allow_outside))
    return {
        name: load_split(place, split=name, subset=subset, format=format, allow_outside=allow_outside) for name in names
    }


def geometry_for(family: str, min_pixels: int | None, max_pixels: int | None) -> "ImageGeometry":
    """
    Raises:
        ConfigError: not one of the families, or an impossible budget.
    """
    from texlens.core.errors import ConfigError
    from texlens.models.families import FAMILIES
    from texlens.models.preprocessor import geometry_of

    model_type = family.lower().replace("-", "_").replace(".", "_")
    if model_type not in FAMILIES:
        known = ", ".join(spelled(name) for name in FAMILIES)
        raise ConfigError(f"--family {family}: not one of {known}")
    return geometry_of({"model_type": model_type}, min_pixels=min_pixels, max_pixels=max_pixels)


def spelled(model_type: str) -> str:
    """
    Example:
        spelled("qwen2_5_vl") -> "qwen2.5-vl"
    """
    return model_type.replace("2_5", "2.5").replace("_", "-")
