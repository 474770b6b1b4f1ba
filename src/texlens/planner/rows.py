"""Rows of a data set as sizes, and the batches made from them."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from texlens.planner.simulated_step import Batch

MERGED = 4
"""Patches in one image token, in every family."""


@dataclass(frozen=True)
class RowSize:
    """`grids`: rows and columns of patches of each image; `text`: tokens of prompt and answer; `answer`: those of the
    answer."""

    grids: tuple[tuple[int, int], ...]
    text: int
    answer: int

    @property
    def image(self) -> int:
        return sum(height * width for height, width in self.grids) // MERGED

    @property
    def tokens(self) -> int:
        return self.image + self.text


ASSUMED = RowSize(((8, 84),), 117, 80)
"""A typical formula of LaTeX_OCR, assumed where the rows are not on this machine."""


@dataclass(frozen=True)
class Batches:
    """The batches of an epoch: `worst` has the maximum of every size, `typical` is the median, `count` their number;
    `lengths` are tokens of the rows of each."""

    worst: Batch
    typical: Batch
    count: int
    lengths: tuple[tuple[int, ...], ...] = ()


def batches_of(sizes: Sequence[RowSize], rows: int, seed: int = 0) -> Batches:
    """One shuffled epoch in batches of `rows`; each batch is padded to its longest row."""
    order = list(range(len(sizes)))
    random.Random(seed).shuffle(order)
    groups = [[sizes[index] for index in order[at : at + rows]] for at in range(0, len(order), rows)]
    longest = max(_length(group) for group in groups)
    widest = max(groups, key=lambda group: sum(row.image for row in group))
    labels = max(sum(row.answer for row in group) for group in groups)
    worst = Batch(len(widest), longest, min(labels, len(widest) * (longest - 1)), _grids(widest))
    middle = sorted(groups, key=lambda group: len(group) * _length(group))[len(groups) // 2]
    typical = Batch(len(middle), _length(middle), sum(row.answer for row in middle), _grids(middle), _filled(middle))
    lengths = tuple(tuple(row.tokens for row in group) for group in groups)
    return Batches(worst, typical, len(groups), lengths)


def _filled(group: Sequence[RowSize]) -> int:
    return sum(row.tokens for row in group)


def _length(group: Sequence[RowSize]) -> int:
    return max(row.tokens for row in group)


def _grids(group: Sequence[RowSize]) -> tuple[tuple[tuple[int, int], ...], ...]:
    return tuple(row.grids for row in group)
