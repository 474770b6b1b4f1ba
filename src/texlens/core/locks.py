"""A lock file that keeps two processes from writing the same thing; it dies with its process."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any


@contextlib.contextmanager
def exclusive(path: Path, busy: Callable[[str], Exception]) -> Iterator[None]:
    """Hold the lock file at `path` while the block runs, and remove it afterwards.

    Args:
        busy: makes the error to raise from the number of the process that holds the lock ("?" where unknown).

    Raises:
        Exception: what `busy` returned.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = _open_locked(path, busy)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        file.close()


def _open_locked(path: Path, busy: Callable[[str], Exception]) -> IO[str]:
    """A process that ends removes the file; a process that has locked a removed file tries again."""
    while True:
        file = path.open("a+")
        if not try_lock(file):
            file.seek(0)
            holder = file.read().strip() or "?"
            file.close()
            raise busy(holder)
        if _is_current(file, path):
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            return file
        file.close()


def _is_current(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def try_lock(file: IO[Any], *, shared: bool = False) -> bool:
    """Whether this process holds the lock of the open file now; True where the system has no such locks.

    Args:
        shared: hold it together with others that share it; only one that does not share it is in the way.
    """
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def wait_for_lock(file: IO[Any]) -> None:
    """Hold the lock of the open file once no other process does; nothing where the system has no such locks."""
    try:
        import fcntl
    except ImportError:
        return
    fcntl.flock(file, fcntl.LOCK_EX)
