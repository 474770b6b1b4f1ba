"""Image files that data files name: found beside them, and rejected when they lie elsewhere."""

import os
import re
from functools import lru_cache
from pathlib import Path

from texlens.core.errors import DataError

IMAGE_SUFFIXES = frozenset([".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"])
URL = re.compile(r"^[a-z][a-z0-9+.-]+:", re.IGNORECASE)


def image_path(folder: Path, name: str, *, allow_outside: bool) -> Path:
    """The file that `name`, relative to `folder`, means; whether it is there shows when it is read.

    Raises:
        DataError: a URL, or a file outside the folder (links followed) without `allow_outside`.
    """
    name = name.removeprefix("file://")
    if URL.match(name) and not Path(name).drive:
        raise DataError(f"image {name[:60]!r} is a URL; download it and name the file")
    path = folder / name
    if allow_outside:
        return path
    home = _real(str(folder))
    parent = _real(str(path.parent))
    real = os.path.realpath(path) if path.is_symlink() or path.name == ".." else os.path.join(parent, path.name)
    if os.path.commonpath([home, real]) != home:
        raise DataError(f"image {name!r} lies outside {folder}; move it in, or set data.allow_outside")
    return path


@lru_cache(maxsize=4096)
def _real(folder: str) -> str:
    return os.path.realpath(folder)
