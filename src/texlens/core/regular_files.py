"""Opening files that a data set or a person names: only regular files, so that a FIFO or device never blocks."""

import os
import stat
from io import BufferedReader
from pathlib import Path

from texlens.core.errors import DataError

MAX_FILE_BYTES = 1 << 30
"""Files that are read into memory as one piece may not be larger."""


def open_regular(path: Path) -> BufferedReader:
    """The file, open for reading.

    Raises:
        FileNotFoundError, OSError: as `open`.
        DataError: a directory, FIFO, socket or device, or a name that no file can have.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except ValueError as error:
        raise DataError(f"a file name with a NUL character ({error}); correct it") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DataError(f"{path}: not a regular file (a folder, pipe or device); name a file")
    return os.fdopen(descriptor, "rb")


def read_regular(path: Path, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """The file's bytes.

    Raises:
        DataError: as `open_regular`, or more than `max_bytes`.
    """
    with open_regular(path) as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise DataError(f"{path}: over {max_bytes >> 20:,} MiB; split or shrink it")
    return data
