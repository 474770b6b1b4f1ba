"""Files that data files name: relative to them, and rejected when they are outside their folder."""

import os
import re
from functools import lru_cache
from pathlib import Path

from texlens.core.errors import DataError

URL = re.compile(r"^[a-z][a-z0-9+.-]+:", re.IGNORECASE)
BASE64_HEADS = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "Qk0", "data:image")
"""How the base64 text of a PNG, JPEG, GIF, WebP or BMP begins, or a data URL."""
MIN_BASE64 = 100
MAX_ANCESTORS = 3
MAX_NAME_BYTES, MAX_PATH_BYTES = 255, 4_000
"""Of one component and of a whole path: the limits of Linux and macOS."""


def image_path(folder: Path, name: str, *, allow_outside: bool) -> Path:
    """The file that `name`, relative to `folder`, means; whether it exists is seen when it is read.

    With `allow_outside`, a name that is no file there may be relative to where the data set was unpacked instead:
    `./data/CROHME/2014/a.png` in `sets/CROHME/prompts/crohme_2014.json` is `sets/CROHME/2014/a.png`.

    Raises:
        DataError: a URL, image data instead of a name, a name that no file can have, or a file outside the folder
            (links followed) without `allow_outside`.
    """
    name = name.removeprefix("file://")
    _check_name(name)
    path = folder / name
    if not allow_outside:
        check_inside(folder, path, name)
        return path
    return path if path.exists() else _from_an_ancestor(folder, name) or path


def _from_an_ancestor(folder: Path, name: str) -> Path | None:
    """The file of that name from a folder above, with or without the first folder in the name, which may have been
    renamed; None where there is none."""
    parts = Path(name).parts
    for ancestor in list(folder.absolute().parents)[:MAX_ANCESTORS]:
        for names in (parts, parts[1:]):
            if names and (file := ancestor.joinpath(*names)).is_file():
                return file
    return None


def check_inside(folder: Path, path: Path, name: str, what: str = "image") -> None:
    """
    Raises:
        DataError: `path` is outside `folder`, links followed.
    """
    home = _real(str(folder))
    parent = _real(str(path.parent))
    real = os.path.realpath(path) if path.is_symlink() or path.name == ".." else os.path.join(parent, path.name)
    if os.path.commonpath([home, real]) != home:
        raise DataError(f"{what} {name!r} is outside {folder}; move it in, or set data.allow_outside (--allow-outside)")


def _check_name(name: str) -> None:
    if name.startswith(BASE64_HEADS) and len(name) > MIN_BASE64:
        raise DataError(f"image data as base64 text ({len(name):,} characters); write it to a file and name the file")
    if URL.match(name) and not Path(name).drive:
        raise DataError(f"image {name[:60]!r} is a URL; download it and name the file")
    if "\0" in name:
        raise DataError(f"image {name[:60]!r}: a file name with a NUL character; correct it")
    try:
        encoded = os.fsencode(name)
    except UnicodeEncodeError as error:
        raise DataError(f"image {name[:60]!a}: a file name that UTF-8 can't hold; correct it") from error
    if len(encoded) > MAX_PATH_BYTES or max(map(len, encoded.split(b"/"))) > MAX_NAME_BYTES:
        raise DataError(f"image {name[:60]!r}…: a file name of {len(encoded):,} bytes; no file has such a name")


def _real(folder: str) -> str:
    """Not by `abspath`, which would remove `link/..` without following the link."""
    return _real_of_absolute(os.path.join(os.getcwd(), folder))


@lru_cache(maxsize=4096)
def _real_of_absolute(folder: str) -> str:
    return os.path.realpath(folder)
