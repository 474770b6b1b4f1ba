"""Attention in segments, one segment after another: what the fast forms are compared with.

# T = tokens, H = query heads, G = key/value heads, D = width of a head
"""

from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor

from texlens.kernels.attention.prefixes import Prefixes


def attend_reference(
    query: Float[Tensor, "T H D"],
    key: Float[Tensor, "T G D"],
    value: Float[Tensor, "T G D"],
    cu_seqlens: Int[Tensor, " bounds"],
    *,
    causal: bool,
) -> Float[Tensor, "T H D"]:
    """softmax(q k / sqrt(D)) v within each segment."""
    group = query.shape[1] // key.shape[1]
    key, value = (tensor.repeat_interleave(group, 1) for tensor in (key, value))
    outputs = []
    for start, end in zip(cu_seqlens[:-1].tolist(), cu_seqlens[1:].tolist(), strict=True):
        scores = torch.einsum("qhd,khd->hqk", query[start:end], key[start:end]) * query.shape[-1] ** -0.5
        if causal:
            scores = scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).triu(1), float("-inf"))
        outputs.append(torch.einsum("hqk,khd->qhd", scores.float().softmax(-1).to(value.dtype), value[start:end]))
    return torch.cat(outputs)


def attend_branches_reference(
    query: Float[Tensor, "T H D"],
    key: Float[Tensor, "T G D"],
    value: Float[Tensor, "T G D"],
    prefixes: Prefixes,
) -> Float[Tensor, "T H D"]:
    """Causal attention of each segment together with its prefix, as if the two were alone."""
    outputs = []
    bounds = pairwise(prefixes.cu_seqlens.tolist())
    for (start, end), before, until in zip(bounds, prefixes.starts, prefixes.ends, strict=True):
        q, k, v = (torch.cat([part[before:until], part[start:end]]) for part in (query, key, value))
        outputs.append(attend_reference(q, k, v, torch.tensor([0, len(q)]), causal=True)[until - before :])
    return torch.cat(outputs)
