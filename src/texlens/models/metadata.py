"""`texlens.json`, the metadata file beside weights: read for adapters, exported folders and calibrations alike.

Image preparation is a property of the model that it holds. No torch, and no scipy before it is needed.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from texlens.config.model import ModelSettings
from texlens.core.errors import ModelError, one_line

if TYPE_CHECKING:
    from texlens.inputs.image_preparation import Preparation

METADATA_FILE = "texlens.json"

PREPARATION_KEY = "image_preparation"
OLD_KEYS = {"question": "prompt", "system": "system_prompt", "made": "notes"}
"""Keys of version 1, and what they are called now."""

Kind = TypeVar("Kind")


def read_metadata(folder: Path) -> dict[str, Any]:
    """The content of the folder's metadata file; empty where there is none.

    Raises:
        ModelError: the file is damaged.
    """
    path = folder / METADATA_FILE
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise _damaged(path, one_line(error, 200)) from None
    if not isinstance(content, dict):
        raise _damaged(path, "it is not a JSON object")
    return with_new_keys(content)


def with_new_keys(content: Mapping[str, Any]) -> dict[str, Any]:
    """Keys of older versions renamed; a new key that is present as well has priority."""
    renamed = {OLD_KEYS[key]: value for key, value in content.items() if key in OLD_KEYS}
    return {**renamed, **{key: value for key, value in content.items() if key not in OLD_KEYS}}


def as_dataclass(kind: type[Kind], values: Any, folder: Path) -> Kind:
    """The dataclass from the keys that it knows; others are ignored.

    Raises:
        ModelError: a key is missing, or of another type.
    """
    path = folder / METADATA_FILE
    if not isinstance(values, Mapping):
        raise _damaged(path, f"{kind.__name__} is not a JSON object")
    known = {field.name: values[field.name] for field in fields(kind) if field.name in values}  # type: ignore[arg-type]
    try:
        return TypeAdapter(kind).validate_python(known)
    except ValidationError as error:
        first = error.errors()[0]
        raise _damaged(path, f"{'.'.join(map(str, first['loc']))}: {one_line(first['msg'], 200)}") from None


def _damaged(path: Path, reason: object) -> ModelError:
    return ModelError(f"{path}: damaged ({reason}); restore the file, or write the folder again")


def read_preparation(folder: Path) -> "Preparation | None":
    """What a model's metadata says; None where images are read as they are.

    Raises:
        ModelError: the metadata is damaged.
    """
    values = read_metadata(folder).get(PREPARATION_KEY)
    if values is None:
        return None
    if not isinstance(values, dict):
        raise ModelError(f"{folder / METADATA_FILE}: {PREPARATION_KEY} is not an object; restore the file")
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
