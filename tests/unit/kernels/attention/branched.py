"""Random sequences in which segments share prefixes."""

from itertools import pairwise

import torch

from texlens.kernels.attention.prefixes import Prefixes

ROWS = [(5, [3, 1, 9]), (4, []), (6, [2, 2]), (3, [])]
"""Length of a prefix and those of its branches; a plain row has none. The last one is a pack's padding."""


def prefixes_of(rows=ROWS, device="cpu") -> Prefixes:
    bounds, starts, until, group_ends = [0], [], [], []
    for length, branches in rows:
        begin = bounds[-1]
        end = begin + length
        ends = [end]
        for branch in branches:
            ends.append(ends[-1] + branch)
        starts += [begin] * len(ends)
        until += [begin] + [end] * len(branches)
        group_ends += [ends[-1], *ends[1:]]
        bounds += ends
    tensors = (torch.tensor(values, dtype=torch.int32, device=device) for values in (bounds, starts, until, group_ends))
    lengths = [end - start for start, end in pairwise(bounds)]
    return Prefixes(*tensors, max(lengths), max(length for length, _ in rows))


def tokens_of(rows=ROWS) -> int:
    return sum(length + sum(branches) for length, branches in rows)
