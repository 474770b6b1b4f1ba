"""`texlens.json`, the card that lies beside weights: read for adapters, exported folders and calibrations alike."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from texlens.core.errors import ModelError

METADATA_FILE = "texlens.json"

Kind = TypeVar("Kind")


def read_metadata(folder: Path) -> dict[str, Any]:
    """What the folder's card tells; nothing where there is none.

    Raises:
        ModelError: the card is damaged.
    """
    path = folder / METADATA_FILE
    if not path.is_file():
        return {}
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _damaged(path, error) from None
    if not isinstance(told, dict):
        raise _damaged(path, "no settings in it")
    return told


def as_dataclass(kind: type[Kind], told: Any, folder: Path) -> Kind:
    """The dataclass with what it knows of a card's keys; others are left out.

    Raises:
        ModelError: the card lacks a key.
    """
    try:
        return kind(**{part.name: told[part.name] for part in fields(kind) if part.name in told})  # type: ignore[arg-type]
    except TypeError as error:
        raise _damaged(folder / METADATA_FILE, error) from None


def _damaged(path: Path, reason: object) -> ModelError:
    return ModelError(f"{path}: damaged ({reason}); restore the file, or make the folder again")
