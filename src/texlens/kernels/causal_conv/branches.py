"""The causal depthwise convolution over segments that share a prefix: a branch's first inputs are its prefix's last.

# T = tokens, D = channels, W = width of the kernel
"""

import functools

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from texlens.kernels.attention.prefixes import Prefixes
from texlens.kernels.delta_rule.reference import upcast


def branched_causal_conv(
    x: Float[Tensor, "T D"], kernel: Float[Tensor, "D W"], prefixes: Prefixes
) -> Float[Tensor, "T D"]:
    """As `causal_conv` of each branch together with its prefix."""
    width, values, weights = kernel.shape[1], upcast(x), upcast(kernel)
    result = values * weights[:, -1]
    for back in range(1, width):
        token, exists = prefixes.tokens_before(back, len(x))
        earlier = values.index_select(0, token)
        earlier = torch.where(exists[:, None], earlier, torch.zeros_like(earlier))
        result = result + earlier * weights[:, width - 1 - back]
    return functional.silu(result).to(x.dtype)


def border_results(
    windows: Float[Tensor, "B places D"], exists: Bool[Tensor, "B places"], kernel: Float[Tensor, "D W"]
) -> Float[Tensor, "B before D"]:
    """`branched_causal_conv` of the first W - 1 tokens of each branch, in float32 or more, with autograd.

    Args:
        windows: the W - 1 tokens before them and they themselves, from `Prefixes.borders`.
    """
    reach, weights = kernel.shape[1] - 1, upcast(kernel)
    values = upcast(windows)
    values = torch.where(exists[..., None], values, torch.zeros_like(values))
    parts = (values[:, reach - back : 2 * reach - back] * weights[:, reach - back] for back in range(reach + 1))
    return functional.silu(functools.reduce(torch.add, parts))
