"""Quantization to float8, and back, in PyTorch operations.

# T = rows, D = width, N = width out, R = appended columns, P = padded columns (`format.padded_columns`)
# E = experts, X = written ones
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from texlens.kernels.fp8.format import FP8_DTYPE, FP8_MAX, padded_columns


def quantize_rows_reference(
    x: Float[Tensor, "T D"], appended: Float[Tensor, "T R"] | None = None, rescale: Float[Tensor, "1"] | None = None
) -> tuple[Float[Tensor, "T columns"], Float[Tensor, "T 1"]]:
    """`quantize.quantize_rows` in PyTorch operations."""
    values = x.float()
    if appended is None or rescale is None:
        scale = _scale(values)
        return _to_fp8(values / scale), scale
    columns = appended.float() * rescale
    scale = _scale(torch.cat([values, columns], -1))
    return torch.cat([_to_fp8(values / scale), _append_columns(columns / scale)], -1), scale


def quantize_with_residual(
    values: Float[Tensor, "N R"], scale: Float[Tensor, " N"], out: Float[Tensor, "N P"]
) -> Float[Tensor, "1"]:
    """Writes values by the scales of their rows into `out`: high, low, high.

    Returns:
        at least 1: what all values had to be divided by so that none overflows.
    """
    scaled = values.float() / scale[:, None]
    rescale = (scaled.abs().amax() / FP8_MAX).clamp(min=1)[None]
    scaled = scaled / rescale
    high = _to_fp8(scaled)
    low = _to_fp8(scaled - high.float())
    out.view(torch.uint8)[:, : 3 * values.shape[1]] = _joined_bytes(high, low, high)
    return rescale


def dequantize_experts_reference(
    codes: Float[Tensor, "E N D"],
    scale: Float[Tensor, "E N"],
    out: Float[Tensor, "X N D"],
    experts: Int[Tensor, " X"] | None = None,
) -> None:
    """`dequantize.dequantize_experts` in PyTorch operations."""
    if experts is not None:
        codes, scale = codes.view(torch.uint8)[experts].view(codes.dtype), scale[experts]
    out.copy_(codes.float() * scale[..., None])


def _scale(rows: Tensor) -> Tensor:
    return (rows.abs().amax(-1, keepdim=True) / FP8_MAX).clamp(min=torch.finfo(torch.float32).tiny)


def _append_columns(values: Tensor) -> Tensor:
    """[T, P] of values [T, R], already divided by their scale."""
    high = _to_fp8(values)
    parts = _joined_bytes(high, high, _to_fp8(values - high.float()))
    return functional.pad(parts, (0, padded_columns(values.shape[1]) - parts.shape[1])).view(FP8_DTYPE)


def _joined_bytes(*parts: Tensor) -> Tensor:
    return torch.cat([part.view(torch.uint8) for part in parts], 1)


def _to_fp8(values: Tensor) -> Tensor:
    return values.clamp(-FP8_MAX, FP8_MAX).to(FP8_DTYPE)
