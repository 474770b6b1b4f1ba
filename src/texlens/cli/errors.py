"""Errors of the file system in one line, with a remedy."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from safetensors import SafetensorError

from texlens.core.errors import RunError

NO_SPACE = "make room there, then `texlens train --resume RUN` goes on from the last checkpoint"
NO_PERMISSION = "change the rights of that folder, or write elsewhere with --set output=FOLDER"
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
        RunError: for an error of the file system inside; other errors pass unchanged.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        message = explain(error)
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


def _number_in(message: str) -> int | None:
    """The errno that safetensors puts into its own error's text."""
    match = re.search(r"\(os error (\d+)\)", message)
    return int(match[1]) if match else None
