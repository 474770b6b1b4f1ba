"""Whether a text goes round in circles."""

from collections.abc import Sequence

LONGEST_CYCLE = 8
LEAST_REPEATS = 8
LEAST_LOOP_TOKENS = 48
"""Of the 8,808 texts in LaTeX_OCR, the longest honest repetition is 39 tokens (13 times `1 , \\`)."""


def is_looping(tokens: Sequence[int]) -> bool:
    """Whether the text ends in a cycle of up to 8 tokens, said at least 8 times over at least 48 tokens."""
    for cycle in range(1, LONGEST_CYCLE + 1):
        span = max(LEAST_REPEATS * cycle, LEAST_LOOP_TOKENS)
        if len(tokens) < span:
            return False
        if tokens[-1] == tokens[-1 - cycle] and tokens[-span:-cycle] == tokens[cycle - span :]:
            return True
    return False
