"""What the file system refused, in one line with a remedy."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from safetensors import SafetensorError

from texlens.core.errors import RunError

ROOM = "make room there, then `texlens train --resume RUN` goes on from the last checkpoint"
RIGHTS = "change the rights of that folder, or write elsewhere with --set output=FOLDER"
PLACE = "check the path"
REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), ROOM),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), RIGHTS),
    **dict.fromkeys((errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP), PLACE),
    errno.EIO: "the disk can't be read or written there; look at its health",
    errno.EMFILE: "close other programs, or raise the limit with `ulimit -n`",
}
"""What mends a fault of the file system. Others (no such file, say) are our own mistakes: a traceback."""


@contextmanager
def told_as_run_errors() -> Iterator[None]:
    """
    Raises:
        RunError: what the file system refused inside; other errors are let through as they are.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        fault = explain(error)
        if fault is None:
            raise
        raise RunError(fault) from error


def explain(error: Exception) -> str | None:
    """What the disk or the rights on it refused, in one line; None where the error is not of that kind."""
    number = getattr(error, "errno", None) or _number_in(str(error))
    if number not in REMEDIES:
        return None
    file = getattr(error, "filename", None)
    return f"{f'{file}: ' if file else ''}{os.strerror(number)}; {REMEDIES[number]}"


def _number_in(message: str) -> int | None:
    """The errno that safetensors puts into its own error's text."""
    found = re.search(r"\(os error (\d+)\)", message)
    return int(found[1]) if found else None
