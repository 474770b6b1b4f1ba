"""Rows that share a key form a group, and whole groups are divided into parts of given shares."""

from collections.abc import Mapping, Sequence

import numpy as np

from texlens.core.errors import DataError


class RowGroups:
    """Rows with their keys (hashes, say). Rows that share a key, directly or through other rows, are one group.

    Example:
        groups.add(["a"]); groups.add(["b"]); groups.add(["a", "c"]); groups.add(["c"]); groups.add([])
        groups.members() -> [[0, 2, 3], [1], [4]]
    """

    def __init__(self) -> None:
        self._count = 0
        self._key_numbers: dict[bytes | str, int] = {}
        self._edges: list[tuple[int, int]] = []

    def add(self, keys: Sequence[bytes | str]) -> None:
        """The next row."""
        for key in keys:
            self._edges.append((self._count, self._key_numbers.setdefault(key, len(self._key_numbers))))
        self._count += 1

    def members(self) -> list[list[int]]:
        """The rows of each group in order; groups are ordered by their first row."""
        groups: dict[int, list[int]] = {}
        for row, component in enumerate(self._components()):
            groups.setdefault(component, []).append(row)
        return list(groups.values())

    def _components(self) -> list[int]:
        """The connected component of each row in the graph of rows and keys."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        size = self._count + len(self._key_numbers)
        rows, keys = np.array(self._edges, np.int64).reshape(-1, 2).T
        graph = coo_array((np.ones(len(rows), bool), (rows, keys + self._count)), (size, size))
        return connected_components(graph, directed=False)[1][: self._count].tolist()


def split_groups(groups: Sequence[Sequence[int]], shares: Mapping[str, float], seed: int) -> list[str]:
    """The part of each row. Whole groups, in an order shuffled by `seed`, go to the part that lacks most.

    A group that is more than twice what every part still lacks goes to the first part.

    Example:
        split_groups([[0], [1, 2], [3]], {"train": 0.5, "test": 0.5}, seed=0) -> ["train", "test", "test", "train"]

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
        must_fill = len(order) - number <= len(empty)
        part = empty[0] if must_fill else _part_that_lacks_most(lacking, len(group)) or first
        counts[part] += len(group)
        if part != first:
            lacking[part] -= len(group)
        for row in group:
            parts[row] = part
    return parts


def _part_that_lacks_most(lacking: Mapping[str, float], size: int) -> str | None:
    """None where a group of this size would take every part further from its share."""
    name = max(lacking, key=lambda name: lacking[name], default=None)
    return name if name is not None and size / 2 <= lacking[name] else None
