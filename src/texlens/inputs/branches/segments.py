"""The segments of a pack in which some examples have branches, and which answer each label belongs to.

# L = labels, S = segments
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from texlens.inputs.example import Example


def answers_of_labels(pack: dict) -> Int[Tensor, " L"]:
    """The number of the answer that each label of a pack belongs to, counted over its examples and their branches."""
    rows = pack["label_rows"]
    if "segment_ends" not in pack:
        return torch.searchsorted(pack["text_ends"][1:-1].contiguous(), rows.int(), right=True)
    segment = torch.searchsorted(pack["segment_ends"][1:-1].contiguous(), rows.int(), right=True)
    return (_is_answer(pack).cumsum(0) - 1)[segment]


def answer_count(pack: dict) -> int:
    """Answers of a pack: one a plain example, one a branch."""
    return int(_is_answer(pack).sum()) if "segment_ends" in pack else len(pack["rows"])


def segment_bounds(examples: Sequence[Example], ends: np.ndarray, padded: int) -> dict:
    """What a pack says of its prefixes (see `Pack`); empty if no example has branches.

    Args:
        ends: bounds of the examples.
        padded: tokens of the pack, padding included.
    """
    if not any(example.branch_starts for example in examples):
        return {}
    bounds, starts, until, group_ends = [0], [], [], []
    for example, start, end in zip(examples, ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        branches = [start + at for at in example.branch_starts]
        cuts = [*branches, end]
        bounds += cuts
        starts += [start] * len(cuts)
        until += [start] + [branches[0]] * len(branches) if branches else [start]
        group_ends += [end, *cuts[1:]]
    bounds += [padded]
    numbers = {
        "segment_ends": bounds,
        "prefix_starts": [*starts, bounds[-2]],
        "prefix_ends": [*until, bounds[-2]],
        "group_ends": [*group_ends, padded],
    }
    tensors = {name: torch.tensor(values, dtype=torch.int32) for name, values in numbers.items()}
    return tensors | {
        "longest_segment": max(end - start for start, end in pairwise(bounds)),
        "longest_prefix": max(end - start for start, end in zip(starts, until, strict=True)),
    }


def _is_answer(pack: dict) -> Tensor:
    """[S - 1]: whether a segment is an answer's, not a prefix; without the padding."""
    return (pack["group_ends"] == pack["segment_ends"][1:])[:-1]
