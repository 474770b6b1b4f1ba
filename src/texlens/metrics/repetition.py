"""Repetition loops: the failure where a model repeats a few tokens until it is cut off.

A text has a loop when a unit of 1 to 8 tokens occurs at least 6 times in a row, over at least 12 tokens, and that run
is more than twice as long as any run of the same period in the reference. Because of the last clause,
`0 & 0 & 0 & 0 & 0 & 0 & 0` is not a loop where the reference has such a line.
"""

from collections.abc import Hashable, Sequence
from operator import eq

MAX_UNIT = 8
MIN_REPEATS = 6
MIN_TOKENS = 12
TIMES_THE_REFERENCE = 2
MIN_CUT_REPEATS = 8
MIN_CUT_TOKENS = 48
"""Thresholds of `ends_in_loop`, which ends a row while it is generated."""


def has_loop(reference: Sequence[str], text: Sequence[str]) -> bool:
    for period in range(1, MAX_UNIT + 1):
        run = longest_run(text, period)
        if run >= max(MIN_TOKENS, MIN_REPEATS * period) and run > TIMES_THE_REFERENCE * longest_run(reference, period):
            return True
    return False


def longest_run(tokens: Sequence[str], period: int) -> int:
    """Length in tokens of the longest stretch that repeats with this period; 0 where nothing repeats.

    Example:
        [x, a, b, a, b, a, y], period 2 -> 5
    """
    same = list(map(eq, tokens, tokens[period:]))
    if sum(same) < period:
        return 0
    longest = current = 0
    for equal in same:
        current = current + 1 if equal else 0
        longest = max(longest, current)
    return longest + period if longest >= period else 0


def ends_in_loop(tokens: Sequence[Hashable]) -> bool:
    r"""Whether a text that is still being generated ends in a loop: a unit of 1 to 8 tokens, repeated at least 8 times
    and over at least 48 tokens.

    The threshold is higher than that of `has_loop`, since no reference is known here and the row is ended: of the 8,808
    texts in LaTeX_OCR the longest legitimate repetition has 39 tokens (13 times `1 , \\`).
    """
    for period in range(1, MAX_UNIT + 1):
        span = max(MIN_CUT_REPEATS * period, MIN_CUT_TOKENS)
        if len(tokens) < span:
            return False
        if tokens[-1] == tokens[-1 - period] and tokens[-span:-period] == tokens[period - span :]:
            return True
    return False
