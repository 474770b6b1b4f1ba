"""A causal depthwise convolution followed by SiLU: over packs within each segment, and one token at a time.

# T = tokens, D = channels, W = width of the kernel, S = segments, B = rows
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from texlens.kernels.delta_rule.reference import upcast


def causal_conv(
    x: Float[Tensor, "T D"], kernel: Float[Tensor, "D W"], offset: Int[Tensor, " T"]
) -> Float[Tensor, "T D"]:
    """silu of the sum over j of kernel[:, W - 1 - j] * x[t - j], of tokens of the same segment alone.

    Args:
        offset: each token's place in its segment, from `offsets_of`.
    """
    width, values, weights = kernel.shape[1], upcast(x), upcast(kernel)
    result = values * weights[:, -1]
    for back in range(1, min(width, len(x))):
        shifted = functional.pad(values[:-back], (0, 0, back, 0))
        inside = (offset >= back)[:, None]
        result = result + torch.where(inside, shifted, torch.zeros_like(shifted)) * weights[:, width - 1 - back]
    return functional.silu(result).to(x.dtype)


def causal_conv_step(
    x: Float[Tensor, "B D"], kernel: Float[Tensor, "D W"], before: Float[Tensor, "B D W-1"]
) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B D W-1"]]:
    """The result for one more token of each row, and the inputs that the next one needs."""
    window = torch.cat([before, x[..., None].to(before.dtype)], -1)
    result = (upcast(window) * upcast(kernel)).sum(-1)
    return functional.silu(result).to(x.dtype), window[..., 1:]


def last_inputs(x: Float[Tensor, "T D"], cu_seqlens: Int[Tensor, " bounds"], width: int) -> Float[Tensor, "S D before"]:
    """The inputs that the token after each segment needs: its last ones, with zeros before a short one's first."""
    starts, ends = cu_seqlens[:-1].long(), cu_seqlens[1:].long()
    index = ends[:, None] + torch.arange(1 - width, 0, device=x.device)
    inside = (index >= starts[:, None])[..., None]
    rows = x[index.clamp(min=0, max=max(len(x) - 1, 0))]
    return torch.where(inside, rows, torch.zeros_like(rows)).mT.contiguous()
