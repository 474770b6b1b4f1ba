"""A .zip of a data set: unpacked once into a cache (by path, size and time of change), then read as a folder.

Files that would leave the folder are rejected. An image whose bytes are damaged becomes a file of 0 bytes, so that the
row that names it is rejected and the rest goes on; any other damaged file stops the reading.
"""

import errno
import hashlib
import os
import shutil
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from texlens.core.cache import cache_folder
from texlens.core.errors import DataError, one_line
from texlens.core.files import swap_in
from texlens.data.image_formats import IMAGE_SUFFIXES

DAMAGE = (zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error, struct.error, ValueError, OverflowError)
"""What `zipfile` raises over damaged archives; NotImplementedError over a damaged compression method."""
BOMB_RATIO = 200
BOMB_BYTES = 1 << 30
"""An archive of more than both is taken for a bomb: pictures hardly shrink."""


def is_archive(path: Path) -> bool:
    return path.suffix.lower() == ".zip" and path.is_file()


def unpacked(path: Path) -> Path:
    """The folder of the archive's files; its only folder where all are in one.

    Raises:
        DataError: cut short, encrypted, a bomb, with paths that leave it, or no room to unpack it.
    """
    known = path.stat()
    key = hashlib.sha256(f"{path.resolve()} {known.st_size} {known.st_mtime_ns}".encode()).hexdigest()[:24]
    folder = cache_folder() / "archives" / key
    if not folder.is_dir():
        _unpack(path, folder)
    inside = list(folder.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


def _unpack(path: Path, folder: Path) -> None:
    staging = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    staging.mkdir(parents=True)
    try:
        with zipfile.ZipFile(path) as archive:
            _check_bomb(path, archive, staging)
            for member in archive.infolist():
                if not member.is_dir() and not member.filename.startswith("__MACOSX/"):
                    _extract(path, archive, member, staging)
        swap_in(staging, folder, flushed=True)
    except DAMAGE as error:
        raise DataError(f"{path}: not a complete zip ({one_line(error, 200)}); download it again") from error
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise DataError(f"{path}: not a complete zip (an offset outside it); download it again") from error
    except RuntimeError as error:
        raise DataError(f"{path}: {error}; unpack it yourself and name the folder") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _check_bomb(path: Path, archive: zipfile.ZipFile, staging: Path) -> None:
    size = sum(member.file_size for member in archive.infolist())
    if size > BOMB_BYTES and size > BOMB_RATIO * path.stat().st_size:
        raise DataError(f"{path}: would unpack to {size >> 20:,} MiB, {BOMB_RATIO} times its size; unpack it yourself")
    free = shutil.disk_usage(staging).free
    if size > free:
        raise DataError(f"{path}: needs {size >> 20:,} MiB, {free >> 20:,} are free; make room, or set TEXLENS_CACHE")


def _extract(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, staging: Path) -> None:
    name = PurePosixPath(member.filename.replace("\\", "/"))
    if not name.parts:
        return
    if name.is_absolute() or ".." in name.parts or ":" in name.parts[0]:
        raise DataError(f"{path}: {member.filename!r} leaves the archive; unpack it yourself if you trust it")
    target = staging / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(member) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise DataError(f"{path}: {member.filename!r} is a file and a folder in it; unpack it yourself") from error
    except DAMAGE as error:
        if target.suffix.lower() not in IMAGE_SUFFIXES:
            raise DataError(f"{path}: {member.filename} is damaged ({error}); download the archive again") from error
        target.write_bytes(b"")
