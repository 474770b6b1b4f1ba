"""A decoding step's parts on a CPU: the reference but for attention in float32, as small products of each row and key
head. Torch's own attention takes three times as long for one query a row with grouped heads and a mask.

# T = rows, H = query heads, G = key/value heads, W = width of a head, L = positions, P = pages of a row
"""

import math
from itertools import pairwise

import torch
from torch import Tensor

from texlens.kernels.decode.reference import add_norm, drawn, likeliest, norm, split_heads, swiglu
from texlens.kernels.decode.reference import attend as attend_reference

__all__ = ["add_norm", "attend", "drawn", "likeliest", "norm", "split_heads", "swiglu"]


def attend(
    query_THW: Tensor, keys_CGW: Tensor, values_CGW: Tensor, pages_TP: Tensor, lengths_T: Tensor, page_size: int
) -> Tensor:
    """See `reference.attend`, which also runs in 16 bits: its scores are not rounded to them."""
    if query_THW.itemsize < 4:
        return attend_reference(query_THW, keys_CGW, values_CGW, pages_TP, lengths_T, page_size)
    rows, heads, width = query_THW.shape
    groups, longest = keys_CGW.shape[1], int(lengths_T.max())
    steps = torch.arange(longest)
    at_TL = pages_TP[:, steps // page_size].long() * page_size + steps % page_size
    key, value = (pool[at_TL].transpose(1, 2).reshape(-1, longest, width) for pool in (keys_CGW, values_CGW))
    scores = torch.bmm(query_THW.reshape(rows * groups, heads // groups, width), key.transpose(1, 2))
    scores = scores.view(rows, -1, longest).mul_(1 / math.sqrt(width))
    scores.masked_fill_(steps >= lengths_T[:, None, None], float("-inf"))
    mixed = torch.bmm(scores.softmax(-1).view(rows * groups, -1, longest), value)
    return mixed.view(rows, heads, width)


def attend_segments(
    query: Tensor, key: Tensor, value: Tensor, bounds: list[int], *, causal: bool, scale: float | None = None
) -> Tensor:
    """softmax(q k scale) v within each segment, [T, H, W], one segment after the other.

    Args:
        bounds: of the segments, from 0 to T.
        scale: 1 / sqrt(W) if None.
    """
    groups, width = key.shape[1], query.shape[2]
    mixed = torch.empty(query.shape, dtype=query.dtype)
    for start, end in pairwise(bounds):
        length = end - start
        rows = query[start:end].unflatten(1, (groups, -1)).permute(1, 2, 0, 3).reshape(groups, -1, width)
        scores = torch.bmm(rows, key[start:end].permute(1, 2, 0))
        if scale != 1:
            scores.mul_(1 / math.sqrt(width) if scale is None else scale)
        if causal:
            later = torch.ones(length, length, dtype=torch.bool).triu_(1)
            scores.view(groups, -1, length, length).masked_fill_(later, float("-inf"))
        part = torch.bmm(scores.softmax(-1), value[start:end].transpose(0, 1))
        mixed[start:end] = part.view(groups, -1, length, width).permute(2, 0, 1, 3).flatten(1, 2)
    return mixed
