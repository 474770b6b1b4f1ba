"""Regular expressions of users and of saved adapters: only those that match a name in bounded time."""

import re
from collections.abc import Iterable
from re import _constants as constants  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]

MAX_CHARS = 20_000
MAX_UNBOUNDED = 6
"""Unbounded repetitions (`.*`, `\\d+`) in a row; a name of 60 characters has few enough ways to divide among them."""
BOUNDED = 64
"""A repetition of at most so many counts as bounded."""


def unsafe_reason(pattern: str) -> str | None:
    """Why the pattern is not used: no expression, or one whose time may explode on some name; None if it is fine.

    Example:
        unsafe_reason(r"(.*)*x") -> "a repetition is inside of another one";  unsafe_reason(r".*q_proj") -> None
    """
    if len(pattern) > MAX_CHARS:
        return f"longer than {MAX_CHARS:,} characters"
    try:
        tree = parser.parse(pattern)
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError, ValueError) as error:
        return f"no regular expression: {error}"
    try:
        count = _unbounded(tree)
    except ValueError as error:
        return str(error)
    return None if count <= MAX_UNBOUNDED else f"more than {MAX_UNBOUNDED} repetitions without a limit"


def _unbounded(items: Iterable) -> int:
    """Unbounded repetitions that a match may go through; the largest number of all alternatives.

    Raises:
        ValueError: one is inside of another.
    """
    total = 0
    for operation, argument in items:
        parts = list(_sub_patterns(argument))
        inner = [_unbounded(part) for part in parts]
        if operation in (constants.MAX_REPEAT, constants.MIN_REPEAT) and argument[1] > BOUNDED:
            if any(inner):
                raise ValueError("a repetition is inside of another one")
            total += 1
        elif operation is constants.BRANCH:
            total += max(inner, default=0)
        else:
            total += sum(inner)
    return total


def _sub_patterns(argument: object) -> Iterable:
    if isinstance(argument, parser.SubPattern):
        yield argument
    elif isinstance(argument, tuple | list):
        for part in argument:
            yield from _sub_patterns(part)
