"""Edit distance and longest common subsequence, with a bound on the work that two very long sequences may cost.

Where the table of both has more than `MAX_CELLS` cells, they are divided into pieces and corresponding pieces are
compared: an upper bound of the distance and a lower bound of the subsequence, deterministic.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from math import ceil

from rapidfuzz.distance import LCSseq, Levenshtein

MAX_CELLS = 5_000_000_000
"""70,000 tokens against 70,000: 0.2 s on a core (November 2026)."""

Sequences = Sequence[str] | str


def edit_distance(a: Sequences, b: Sequences) -> int:
    return min(_summed(Levenshtein.distance, a, b), max(len(a), len(b)))


def common_length(a: Sequences, b: Sequences) -> int:
    return _summed(LCSseq.similarity, a, b)


def pieces_of(length: int, other: int) -> int:
    """Into how many pieces two sequences of these lengths are divided; 1 where the result is exact."""
    return max(1, ceil(length * other / MAX_CELLS))


def _summed(measure: Callable[..., int], a: Sequences, b: Sequences) -> int:
    pieces = pieces_of(len(a), len(b))
    if pieces == 1 or a == b:
        return measure(a, b)
    return sum(measure(first, second) for first, second in zip(_cut(a, pieces), _cut(b, pieces), strict=True))


def _cut(sequence: Sequences, pieces: int) -> Iterator[Sequences]:
    ends = [len(sequence) * number // pieces for number in range(pieces + 1)]
    return (sequence[start:end] for start, end in pairwise(ends))
