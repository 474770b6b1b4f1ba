"""The operations between the float8 products of a vision block, in PyTorch operations.

# P = patches, D = width
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from texlens.kernels.fp8.reference import quantize_rows_reference
from texlens.kernels.vision_fp8.format import Quantized


def norm_quantize_reference(
    x: Float[Tensor, "P D"],
    residual: Float[Tensor, "P D"] | None,
    weight: Float[Tensor, " D"],
    bias: Float[Tensor, " D"] | None,
    eps: float,
) -> tuple[Float[Tensor, "P D"], Quantized]:
    """`api.norm_quantize` in PyTorch operations."""
    total = x if residual is None else x + residual
    values, shape = total.float(), (x.shape[-1],)
    if bias is None:
        normed = functional.rms_norm(values, shape, weight.float(), eps)
    else:
        normed = functional.layer_norm(values, shape, weight.float(), bias.float(), eps)
    return total, quantize_rows_reference(normed)


def gelu_quantize_reference(x: Float[Tensor, "P D"], gelu: tuple[float, float]) -> Quantized:
    """`api.gelu_quantize` in PyTorch operations."""
    values = x.float()
    return quantize_rows_reference(values * torch.sigmoid(values * (gelu[0] + gelu[1] * values * values)))
