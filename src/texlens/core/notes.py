"""Remarks on standard error: one line each, each once in a process."""

import sys

from texlens.core.errors import one_line
from texlens.core.language import translated

_printed: set[str] = set()


def print_note(message: str) -> None:
    """Prints `texlens: note: message` on standard error, unless this process has printed it before."""
    if message not in _printed:
        _printed.add(message)
        print(translated(f"texlens: note: {one_line(message)}"), file=sys.stderr)
