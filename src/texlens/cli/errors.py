"""Errors of the file system in one line, with a remedy."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata

from safetensors import SafetensorError

from texlens.core.errors import RunError, one_line

NO_SPACE = "make room there, then `texlens train --resume RUN` goes on from the last checkpoint"
NO_PERMISSION = "change the rights of that folder, or write elsewhere with --set output=FOLDER"
NO_MEMORY = "too little memory; close other programs, or take fewer or smaller rows, batches or packs"
WRONG_PATH = "check the path"
MOVED = "another program or a network file system changed it; run again, or write to a local disk"
REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), NO_SPACE),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), NO_PERMISSION),
    **dict.fromkeys((errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP), WRONG_PATH),
    errno.EIO: "the disk can't be read or written there; look at its health",
    **dict.fromkeys((errno.ESTALE, errno.EBUSY, errno.EXDEV, errno.ENOTEMPTY), MOVED),
    errno.EMFILE: "close other programs, or raise the limit with `ulimit -n`",
}
"""How to fix an error of the file system. Others (no such file, say) are bugs and end in a traceback."""


@contextmanager
def as_run_errors() -> Iterator[None]:
    """
    Raises:
        RunError: for an error of the file system inside, too little memory, or a torchvision that does not fit torch;
            other errors pass unchanged.
    """
    try:
        yield
    except (ImportError, RuntimeError) as error:
        message = explain_memory(error) or explain_torchvision(error)
        if message is None:
            raise
        raise RunError(message) from error
    except MemoryError as error:
        raise RunError(explain_memory(error)) from error
    except (OSError, SafetensorError) as error:
        message = explain(error)
        if message is None and isinstance(error, SafetensorError):
            message = f"a safetensors file can't be read ({one_line(error, 300)}); restore it, or rename its folder"
        if message is None:
            raise
        raise RunError(message) from error


def explain(error: Exception) -> str | None:
    """The message of an error of disk or permissions; None for errors of other kinds."""
    number = getattr(error, "errno", None) or _number_in(str(error))
    if number not in REMEDIES:
        return None
    file = getattr(error, "filename", None)
    return f"{f'{file}: ' if file else ''}{os.strerror(number)}; {REMEDIES[number]}"


def explain_memory(error: BaseException) -> str | None:
    """The message where Python, pyarrow or torch (on a CPU or a GPU) got too little memory; None for other errors."""
    is_torch = type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator" in str(error)
    if not is_torch and not isinstance(error, MemoryError):
        return None
    return f"{NO_MEMORY} ({one_line(error, 200) or 'no further detail'})"


def explain_torchvision(error: BaseException) -> str | None:
    """The message where a torchvision that does not fit torch stopped an import; None for other errors."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    if not any("torchvision" in str(link) for link in chain):
        return None
    try:
        versions = f"torchvision {metadata.version('torchvision')} with torch {metadata.version('torch')}"
    except metadata.PackageNotFoundError:
        return None
    return (
        f"{versions}: they don't fit; pip uninstall -y torchvision (TexLens needs none), or install the one that fits"
    )


def _number_in(message: str) -> int | None:
    """The errno that safetensors puts into its own error's text."""
    match = re.search(r"\(os error (\d+)\)", message)
    return int(match[1]) if match else None
