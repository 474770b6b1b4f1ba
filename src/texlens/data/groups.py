"""Rows that belong together since they share a key, and groups divided into parts of given shares."""

from collections.abc import Mapping, Sequence

import numpy as np

from texlens.core.errors import DataError


class Keys:
    """Rows with their keys (hashes, say), grouped: two rows that share a key, or a row that shares keys with both.

    Example:
        keys.add(["a"]); keys.add(["b"]); keys.add(["a", "c"]); keys.add(["c"]); keys.add([])
        keys.groups() -> [[0, 2, 3], [1], [4]]
    """

    def __init__(self) -> None:
        self._parents: list[int] = []
        self._first: dict[bytes | str, int] = {}

    def add(self, keys: Sequence[bytes | str]) -> None:
        row = len(self._parents)
        self._parents.append(row)
        for key in keys:
            first = self._root(self._first.setdefault(key, row))
            self._parents[max(first, self._root(row))] = min(first, self._root(row))

    def groups(self) -> list[list[int]]:
        """Rows of each group, in order."""
        groups: dict[int, list[int]] = {}
        for row in range(len(self._parents)):
            groups.setdefault(self._root(row), []).append(row)
        return list(groups.values())

    def _root(self, row: int) -> int:
        while self._parents[row] != row:
            self._parents[row] = self._parents[self._parents[row]]
            row = self._parents[row]
        return row


def split_groups(groups: Sequence[Sequence[int]], shares: Mapping[str, float], seed: int) -> list[str]:
    """The part of each row. In an order drawn by `seed` whole groups go to each part until it has its share.

    A group larger than what a part still lacks goes to another one; the first part takes what is left.

    Example:
        divided([[0], [1, 2], [3]], {"train": 0.5, "test": 0.5}, seed=0) -> ["train", "test", "test", "train"]

    Raises:
        DataError: fewer groups than parts.
    """
    if len(groups) < len(shares):
        raise DataError(f"{len(groups)} groups of rows that belong together can't be divided into {len(shares)} parts")
    total = sum(map(len, groups))
    first, *others = shares
    lacking = {name: shares[name] * total for name in others}
    order = [groups[index] for index in np.random.default_rng(seed).permutation(len(groups))]
    parts = [first] * total
    counts = dict.fromkeys(shares, 0)
    for number, group in enumerate(order):
        empty = [name for name in shares if not counts[name]]
        must = len(order) - number <= len(empty)
        part = empty[0] if must else _wanting(lacking, len(group)) or first
        counts[part] += len(group)
        if part != first:
            lacking[part] -= len(group)
        for row in group:
            parts[row] = part
    return parts


def _wanting(lacking: Mapping[str, float], size: int) -> str | None:
    """The part that lacks most, where the group brings it nearer to its share."""
    name = max(lacking, key=lambda name: lacking[name], default=None)
    return name if name is not None and size / 2 <= lacking[name] else None
