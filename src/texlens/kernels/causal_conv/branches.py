"""The causal depthwise convolution over segments that share a prefix: a branch's first inputs are its prefix's last.

# T = tokens, D = channels, W = width of the kernel
"""

import torch
from jaxtyping import Float
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
