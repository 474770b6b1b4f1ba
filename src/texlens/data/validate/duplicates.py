"""Images that stand in several rows: the very same, and near-equal ones.

Near ones are found without comparing all with all: the 512 bits of a look are cut into 16 bands of 32, and only looks
that share a band are compared. Two looks that differ in up to 15 bits always share one. Where many share a band (a
common kind of margin) each is compared with those that follow it in order, so the work stays near n log n.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from texlens.data.validate.row_keys import Mark

NEAR_BITS = 24
"""Looks that differ in at most so many of 512 bits are near. The nearest pairs of different formulas: facts.py."""
BANDS = 16
COMPARED_WITH = 32
"""At most so many followers in a band that many looks share."""

Same = Callable[[Mark, Mark], bool]
Pair = tuple[Mark, Mark, str]


def exact_duplicates(marks: Iterable[Mark], same_label: Same) -> Iterator[Pair]:
    """(row, the earlier row of its split that it equals, kind): `duplicate-row`, or `two-labels` told of both rows.

    Rows that ask different questions about one image are different rows.
    """
    groups: dict[tuple, list[Mark]] = defaultdict(list)
    for mark in marks:
        if mark.image:
            groups[mark.split, mark.image, mark.question].append(mark)
    for group in groups.values():
        yield from _within(group, same_label)


def _within(group: Sequence[Mark], same_label: Same) -> Iterator[Pair]:
    first = group[0]
    other = next((mark for mark in group[1:] if mark.label != first.label and not same_label(mark, first)), None)
    if other is not None:
        yield first, other, "two-labels"
        for mark in group[1:]:
            yield mark, other if mark.label == first.label else first, "two-labels"
        return
    for mark in group[1:]:
        yield mark, first, "duplicate-row"


def near_duplicates(marks: Sequence[Mark], same_label: Same) -> Iterator[Pair]:
    """(row, the row that it resembles, kind): `near-duplicate`, `near-two-labels`, or `near-leak` across splits.

    The very same images are not told again. Each row is told once a kind, with its nearest.
    """
    marks = _one_an_image(mark for mark in marks if mark.look and mark.image)
    if len(marks) < 2:
        return
    told: set[tuple[Mark, str]] = set()
    for first, second in _near_pairs(np.frombuffer(b"".join(m.look for m in marks), np.uint64).reshape(len(marks), -1)):
        earlier, later = marks[first], marks[second]
        same = earlier.label == later.label or same_label(earlier, later)
        if earlier.split != later.split:
            kind = "near-leak"
        elif earlier.question != later.question:
            continue
        else:
            kind = "near-duplicate" if same else "near-two-labels"
        if (later, kind) not in told:
            told.add((later, kind))
            yield later, earlier, kind


def _one_an_image(marks: Iterable[Mark]) -> list[Mark]:
    first: dict[bytes, Mark] = {}
    for mark in marks:
        first.setdefault(mark.image, mark)
    return list(first.values())


def _near_pairs(looks: np.ndarray) -> list[tuple[int, int]]:
    """Places of near looks, the lower first, the nearest pairs first. `looks` is [n, 8] of uint64."""
    bands = looks.view(np.uint32)
    pairs: dict[tuple[int, int], int] = {}
    for band in range(BANDS):
        order = np.lexsort((*looks.T[::-1], bands[:, band]))
        values = bands[order, band]
        for step in range(1, COMPARED_WITH + 1):
            together = np.flatnonzero(values[step:] == values[:-step])
            if not len(together):
                break
            left, right = order[together], order[together + step]
            distances = np.bitwise_count(looks[left] ^ looks[right]).sum(1)
            near = distances <= NEAR_BITS
            for i, j, distance in zip(left[near].tolist(), right[near].tolist(), distances[near].tolist(), strict=True):
                pairs[min(i, j), max(i, j)] = distance
    return sorted(pairs, key=lambda pair: (pairs[pair], pair))
