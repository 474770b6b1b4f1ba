"""Pictures that are uploaded: each is decoded first, and kept byte by byte under a name that is safe."""

import os
import re
from pathlib import Path

from texlens.core.errors import ConfigError, DataError
from texlens.data.image_formats import IMAGE_SUFFIXES
from texlens.data.lazy_image import LazyImage

_UNSAFE = re.compile(r"[^\w.-]+")
_MAX_NAME = 80


def save_picture(folder: Path, name: str, data: bytes) -> str:
    """The name of the file, which is another one where that is taken.

    Raises:
        DataError: not a readable image.
    """
    LazyImage.from_bytes(data, name[:200]).load()
    folder.mkdir(parents=True, exist_ok=True)
    safe = safe_name(name)
    stem, suffix = os.path.splitext(safe)
    for number in range(1, 10_000):
        path = folder / (safe if number == 1 else f"{stem}-{number}{suffix}")
        if path.is_file() and path.read_bytes() == data:
            return path.name
        aside = path.with_name(f".{path.name}.partial")
        aside.write_bytes(data)
        try:
            os.link(aside, path)
        except FileExistsError:
            continue
        finally:
            aside.unlink(missing_ok=True)
        return path.name
    raise DataError(f"{folder}: too many pictures named {safe}; rename it")


def safe_name(name: str) -> str:
    """
    Example:
        "../../a b<script>.PNG" -> "a_b_script_.PNG"
    """
    base = name.replace("\\", "/").rpartition("/")[2]
    stem, suffix = os.path.splitext(base)
    if suffix.lower() not in IMAGE_SUFFIXES:
        stem, suffix = base, ".png"
    return f"{_UNSAFE.sub('_', stem).lstrip('.')[:_MAX_NAME] or 'picture'}{suffix}"


def folder_name(name: str) -> str:
    """
    Raises:
        ConfigError: no name is left of it.
    """
    safe = _UNSAFE.sub("_", name).strip("._")[:_MAX_NAME]
    if not safe:
        raise ConfigError(f"{name[:80]!r}: not a name for a folder; use letters and digits")
    return safe
