"""A decoding step's parts in plain PyTorch: what a CPU runs, and what the Triton kernels are compared with.

# T = rows, D = width, H = query heads, G = key/value heads, W = width of a head, P = pages of a row
# C = positions in the cache, V = vocabulary
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from texlens.kernels.decode.lora import Product
from texlens.kernels.decode.noise import gumbel
from texlens.kernels.decoder_layer.reference import rms_norm, rotate


class HeadShape(NamedTuple):
    """How a q/k/v product is split into heads; the norms are None in families without them."""

    queries: int
    keys: int
    width: int
    query_norm: Tensor | None
    key_norm: Tensor | None
    eps: float


def norm(x_TD: Tensor, weight_D: Tensor, eps: float) -> Tensor:
    """x over its root mean square, times `weight_D`."""
    return rms_norm(x_TD, weight_D, eps)


def add_norm(x_TD: Tensor, product: Product, weight_D: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """x plus the complete product, and the norm of that sum."""
    x_TD = x_TD + product.complete()
    return x_TD, rms_norm(x_TD, weight_D, eps)


def split_heads(
    product: Product,
    heads: HeadShape,
    cos_TW: Tensor,
    sin_TW: Tensor,
    keys_CGW: Tensor,
    values_CGW: Tensor,
    at_T: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Rotated queries [T, H, W], and rotated keys and values [T, G, W], which are also written into the cache.

    Args:
        at_T: each row's position in the cache.
    """
    parts = product.complete().unflatten(-1, (-1, heads.width))
    query, key, value = parts.split((heads.queries, heads.keys, heads.keys), 1)
    if heads.query_norm is not None and heads.key_norm is not None:
        query, key = rms_norm(query, heads.query_norm, heads.eps), rms_norm(key, heads.key_norm, heads.eps)
    query, key = rotate(query, cos_TW, sin_TW), rotate(key, cos_TW, sin_TW)
    at_T = at_T.long()
    keys_CGW[at_T], values_CGW[at_T] = key, value
    return query, key, value


def attend(
    query_THW: Tensor, keys_CGW: Tensor, values_CGW: Tensor, pages_TP: Tensor, lengths_T: Tensor, page_size: int
) -> Tensor:
    """softmax(q k / sqrt(W)) v of each row's query over the first `lengths_T` positions of its pages, [T, H, W]."""
    longest = int(lengths_T.max())
    steps = torch.arange(longest, device=query_THW.device)
    at_TL = pages_TP[:, steps // page_size].long() * page_size + steps % page_size
    key, value = keys_CGW[at_TL].transpose(1, 2), values_CGW[at_TL].transpose(1, 2)
    mask = (steps < lengths_T[:, None])[:, None, None]
    grouped = query_THW.shape[1] != key.shape[1]
    mixed = functional.scaled_dot_product_attention(query_THW[:, :, None], key, value, mask, enable_gqa=grouped)
    return mixed[:, :, 0]


def swiglu(product: Product) -> Tensor:
    """silu(gate) x up, from gate and up side by side."""
    gate, up = product.complete().chunk(2, -1)
    return functional.silu(gate) * up


def likeliest(logits_TV: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of each row the likeliest token (the first of equals), its natural log-probability, and the log of the sum of
    exponentials, in float32."""
    logits_TV = logits_TV.float()
    sums_T = logits_TV.logsumexp(-1)
    tokens_T = logits_TV.argmax(-1)
    return tokens_T, logits_TV.gather(1, tokens_T[:, None])[:, 0] - sums_T, sums_T


def drawn(logits_TV: Tensor, temperature_T: Tensor, seed_T: Tensor, count_T: Tensor) -> Tensor:
    """A token [T] of each row, drawn from the softmax of its logits over its temperature (above 0) by the noise of its
    seed and of how many tokens it has (Gumbel 1954; Maddison et al. 2014, arXiv:1411.0030)."""
    scaled_TV = (logits_TV.float() / temperature_T[:, None]).log_softmax(-1)
    return (scaled_TV + gumbel(seed_T, count_T, logits_TV.shape[1])).argmax(-1)
