"""Whether pyarrow survives a parquet file: some damaged ones end the process (std::terminate) instead of raising.

A file is read once in a forked child, and remembered by path, size and modification time in the cache folder. The
child of a process with many threads can end for reasons of its own, so an interpreter of its own has the last word.
Systems without `fork` don't look.
"""

import contextlib
import hashlib
import os
import signal
import subprocess
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from texlens.core.cache import cache_folder
from texlens.core.errors import DataError
from texlens.core.own_process import code_command

FOLDER = "parquet-read"
LIMIT_S = 120.0
"""A child that takes longer is ended, and the file is read as if it were sound."""
POLL_S = 0.002
BATCH_ROWS = 1_000
READ_THROUGH = f"""
import sys
from pathlib import Path
from {__name__} import read_through
read_through(Path(sys.argv[1]))
"""


def check_survives(file: Path) -> None:
    """
    Raises:
        DataError: reading the file ends a process.
    """
    mark = _mark(file)
    if not hasattr(os, "fork") or (mark is not None and mark.exists()):
        return
    number = signal_of(lambda: read_through(file))
    if number is not None and (number := signal_of_interpreter(file)) is not None:
        name = signal.Signals(number).name
        raise DataError(f"{file}: damaged (pyarrow ends with {name} on it); download it again")
    if mark is not None:
        with contextlib.suppress(OSError):
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()


def read_through(file: Path) -> None:
    """Decodes every column; errors are the reader's to report."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with contextlib.suppress(pa.ArrowException, OSError, ValueError, MemoryError):
        for _ in pq.ParquetFile(file).iter_batches(BATCH_ROWS, use_threads=False):
            pass


def signal_of(read: Callable[[], None]) -> int | None:
    """The signal that ends a child that calls `read`, or None."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork in a process with threads; the child uses none
        child = os.fork()
    if child == 0:
        try:
            with open(os.devnull, "w") as nothing:
                os.dup2(nothing.fileno(), 2)
            read()
        finally:
            os._exit(0)
    deadline = time.monotonic() + LIMIT_S
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(POLL_S)


def signal_of_interpreter(file: Path) -> int | None:
    """The signal that ends a new Python process which reads the file, or None."""
    command = code_command(READ_THROUGH, str(file))
    try:
        done = subprocess.run(command, capture_output=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return None
    return -done.returncode if done.returncode < 0 else None


def _mark(file: Path) -> Path | None:
    """A file in the cache that says so; None where the file can't be looked at."""
    try:
        status = file.stat()
        key = f"{os.path.realpath(file)!a} {status.st_size} {status.st_mtime_ns}"
        return cache_folder() / FOLDER / hashlib.sha256(key.encode()).hexdigest()[:32]
    except OSError:
        return None
