"""The scaling of DoRA's outputs and of their gradients in PyTorch operations.

# T = tokens, N = width out
"""

import torch
from jaxtyping import Float
from torch import Tensor


def scale_columns(
    x: Float[Tensor, "T N"], scale: Float[Tensor, " N"], bias: Float[Tensor, " N"] | None, out: Float[Tensor, "T N"]
) -> Float[Tensor, "T N"]:
    """x * scale + bias, written to `out`, which may be x."""
    scaled = x * scale
    return out.copy_(scaled if bias is None else scaled + bias)


def scale_grad(
    grad: Float[Tensor, "T N"], x: Float[Tensor, "T N"], scale: Float[Tensor, " N"], out: Float[Tensor, "T N"]
) -> Float[Tensor, " N"]:
    """The sum of grad * x over tokens, in float32 at least; grad * scale is written to `out`, which may be grad."""
    sums = (grad * x).sum(0, dtype=torch.promote_types(grad.dtype, torch.float32))
    out.copy_(grad * scale)
    return sums
