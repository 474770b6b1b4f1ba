"""Image preparation as a property of a model: stored in its metadata. No torch, and no scipy before it is needed."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from texlens.config.model import ModelSettings
from texlens.core.errors import ModelError
from texlens.models.metadata import METADATA_FILE, as_dataclass, read_metadata

if TYPE_CHECKING:
    from texlens.inputs.image_preparation import Preparation

KEY = "image_preparation"


def read_preparation(folder: Path) -> "Preparation | None":
    """What a model's metadata says; None where images are read as they are.

    Raises:
        ModelError: the metadata is damaged.
    """
    values = read_metadata(folder).get(KEY)
    if values is None:
        return None
    if not isinstance(values, dict):
        raise ModelError(f"{folder / METADATA_FILE}: {KEY} is not an object; restore the file")
    from texlens.inputs.image_preparation import Preparation

    return as_dataclass(Preparation, values, folder)


def run_preparation(settings: ModelSettings, base: Path) -> "Preparation | None":
    """How a run prepares images: as its base's metadata says, their size kept where that says nothing; None where
    `model.image_preparation` is off.

    Raises:
        ModelError: the metadata is damaged.
    """
    if not settings.image_preparation:
        return None
    from texlens.inputs.image_preparation import KEEP_SIZE

    return read_preparation(base) or KEEP_SIZE


def stored_preparation(settings: ModelSettings, base: Path) -> dict[str, float | None] | None:
    """`run_preparation` as metadata holds it."""
    preparation = run_preparation(settings, base)
    return None if preparation is None else asdict(preparation)
