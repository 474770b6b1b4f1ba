"""Images that are in several rows: the very same, and near-equal ones.

Near ones are found without comparing all with all: the 512 bits of a look are cut into 16 bands of 32, and only looks
that share a band are compared. Two looks that differ in up to 15 bits always share one. Where many share a band (a
common kind of margin) each is compared with those that follow it in order, so the work stays near n log n.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from texlens.data.validate.row_keys import RowKeys

NEAR_BITS = 24
"""Looks that differ in at most so many of 512 bits are near. The nearest pairs of different formulas: facts.py."""
BANDS = 16
COMPARED_WITH = 32
"""At most so many followers in a band that many looks share."""

Same = Callable[[RowKeys, RowKeys], bool]
Pair = tuple[RowKeys, RowKeys, str]


def exact_duplicates(keys_of_rows: Iterable[RowKeys], same_label: Same) -> Iterator[Pair]:
    """(row, the earlier row of its split that it equals, kind): `duplicate-row`, or `two-labels` (both rows).

    Rows that ask different questions about one image are different rows.
    """
    groups: dict[tuple, list[RowKeys]] = defaultdict(list)
    for keys in keys_of_rows:
        if keys.image:
            groups[keys.split, keys.image, keys.prompt].append(keys)
    for group in groups.values():
        yield from _within(group, same_label)


def _within(group: Sequence[RowKeys], same_label: Same) -> Iterator[Pair]:
    first = group[0]
    other = next((keys for keys in group[1:] if keys.label != first.label and not same_label(keys, first)), None)
    if other is not None:
        yield first, other, "two-labels"
        for keys in group[1:]:
            yield keys, other if keys.label == first.label else first, "two-labels"
        return
    for keys in group[1:]:
        yield keys, first, "duplicate-row"


def near_duplicates(keys_of_rows: Sequence[RowKeys], same_label: Same) -> Iterator[Pair]:
    """(row, the row that it resembles, kind): `near-duplicate`, `near-two-labels`, or `near-leak` across splits.

    Identical images are not reported again. Each row is reported once a kind, with its nearest match.
    """
    keys_of_rows = _one_an_image(keys for keys in keys_of_rows if keys.perceptual_hash and keys.image)
    if len(keys_of_rows) < 2:
        return
    reported: set[tuple[RowKeys, str]] = set()
    for first, second in _near_pairs(
        np.frombuffer(b"".join(m.perceptual_hash for m in keys_of_rows), np.uint64).reshape(len(keys_of_rows), -1)
    ):
        earlier, later = keys_of_rows[first], keys_of_rows[second]
        same = earlier.label == later.label or same_label(earlier, later)
        if earlier.split != later.split:
            kind = "near-leak"
        elif earlier.prompt != later.prompt:
            continue
        else:
            kind = "near-duplicate" if same else "near-two-labels"
        if (later, kind) not in reported:
            reported.add((later, kind))
            yield later, earlier, kind


def _one_an_image(keys_of_rows: Iterable[RowKeys]) -> list[RowKeys]:
    first: dict[bytes, RowKeys] = {}
    for keys in keys_of_rows:
        first.setdefault(keys.image, keys)
    return list(first.values())


def _near_pairs(hashes: np.ndarray) -> list[tuple[int, int]]:
    """Places of near looks, the lower first, the nearest pairs first. `looks` is [n, 8] of uint64."""
    bands = hashes.view(np.uint32)
    pairs: dict[tuple[int, int], int] = {}
    for band in range(BANDS):
        order = np.lexsort((*hashes.T[::-1], bands[:, band]))
        values = bands[order, band]
        for step in range(1, COMPARED_WITH + 1):
            together = np.flatnonzero(values[step:] == values[:-step])
            if not len(together):
                break
            left, right = order[together], order[together + step]
            distances = np.bitwise_count(hashes[left] ^ hashes[right]).sum(1)
            near = distances <= NEAR_BITS
            for i, j, distance in zip(left[near].tolist(), right[near].tolist(), distances[near].tolist(), strict=True):
                pairs[min(i, j), max(i, j)] = distance
    return sorted(pairs, key=lambda pair: (pairs[pair], pair))
