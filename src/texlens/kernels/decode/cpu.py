"""A decoding step's parts on a CPU: the reference but for attention in float32, as small products of each row and key
head, over copies of whole pages.

# T = rows, H = query heads, G = key/value heads, W = width of a head, L = positions, P = pages of a row
"""

import math
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from texlens.kernels.decode.reference import add_norm, drawn, likeliest, norm, split_heads, swiglu
from texlens.kernels.decode.reference import attend as attend_reference

__all__ = ["add_norm", "attend", "drawn", "likeliest", "norm", "split_heads", "swiglu"]


def attend(
    query_THW: Tensor, keys_CGW: Tensor, values_CGW: Tensor, pages_TP: Tensor, lengths_T: Tensor, page_size: int
) -> Tensor:
    """See `reference.attend`, which also runs in 16 bits: its scores are not rounded to them."""
    if query_THW.itemsize < 4:
        return attend_reference(query_THW, keys_CGW, values_CGW, pages_TP, lengths_T, page_size)
    longest = int(lengths_T.max())
    pages = pages_TP[:, : -(-longest // page_size)]
    keys_TLGW, values_TLGW = (_of_pages(pool, pages, page_size)[:, :longest] for pool in (keys_CGW, values_CGW))
    later_T1L = (torch.arange(longest) >= lengths_T[:, None])[:, None]
    query_TGHW = query_THW.unflatten(1, (keys_CGW.shape[1], -1))
    mixed = torch.empty_like(query_TGHW)
    for group in range(keys_CGW.shape[1]):
        scores = torch.bmm(query_TGHW[:, group], keys_TLGW[:, :, group].transpose(1, 2))
        scores.mul_(1 / math.sqrt(query_THW.shape[2])).masked_fill_(later_T1L, float("-inf"))
        mixed[:, group] = torch.bmm(scores.softmax(-1), values_TLGW[:, :, group])
    return mixed.flatten(1, 2)


def _of_pages(pool_CGW: Tensor, pages_TP: Tensor, page_size: int) -> Tensor:
    """What is in the pages of each row, [T, P x positions of a page, G, W]: whole pages are copied four times as fast
    as single positions."""
    pages = pool_CGW.view(-1, page_size * pool_CGW.shape[1] * pool_CGW.shape[2])
    return pages.index_select(0, pages_TP.flatten()).view(len(pages_TP), -1, *pool_CGW.shape[1:])


def attend_segments(
    query: Tensor, key: Tensor, value: Tensor, bounds: list[int], *, causal: bool, scale: float | None = None
) -> Tensor:
    """softmax(q k scale) v within each segment, [T, H, W], one segment after the other.

    Torch's own attention takes three quarters of the time of products in float32, and half as long again in 16 bits.

    Args:
        bounds: of the segments, from 0 to T.
        scale: 1 / sqrt(W) if None.
    """
    mixed = torch.empty(query.shape, dtype=query.dtype)
    attend_one = _attend_segment if query.itemsize < 4 else _attend_segment_in_float32
    for start, end in pairwise(bounds):
        parts = query[start:end], key[start:end], value[start:end]
        mixed[start:end] = attend_one(*parts, causal=causal, scale=scale)
    return mixed


def _attend_segment_in_float32(
    query: Tensor, key: Tensor, value: Tensor, *, causal: bool, scale: float | None
) -> Tensor:
    rows = query.unflatten(1, (key.shape[1], -1)).permute(1, 2, 0, 3)
    keys, values = (part.transpose(0, 1)[:, None].expand(rows.shape) for part in (key, value))
    mixed = functional.scaled_dot_product_attention(rows, keys, values, is_causal=causal, scale=scale)
    return mixed.permute(2, 0, 1, 3).flatten(1, 2)


def _attend_segment(query: Tensor, key: Tensor, value: Tensor, *, causal: bool, scale: float | None) -> Tensor:
    groups, length, width = key.shape[1], *query.shape[::2]
    rows = query.unflatten(1, (groups, -1)).permute(1, 2, 0, 3).reshape(groups, -1, width)
    scores = torch.bmm(rows, key.permute(1, 2, 0))
    if scale != 1:
        scores.mul_(1 / math.sqrt(width) if scale is None else scale)
    if causal:
        later = torch.ones(length, length, dtype=torch.bool).triu_(1)
        scores.view(groups, -1, length, length).masked_fill_(later, float("-inf"))
    mixed = torch.bmm(scores.softmax(-1), value.transpose(0, 1))
    return mixed.view(groups, -1, length, width).permute(2, 0, 1, 3).flatten(1, 2)
