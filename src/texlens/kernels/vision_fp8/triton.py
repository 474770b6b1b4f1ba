"""The operations between the float8 products of a vision block, as Triton kernels of one program a row.

# P = patches, D = width
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from texlens.kernels.fp8.format import FP8_DTYPE
from texlens.kernels.fp8.triton_kernels import FP8_MAX, TINY, to_fp8


def norm_quantize(
    x: Tensor, residual: Tensor | None, weight: Tensor, bias: Tensor | None, eps: float
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """`api.norm_quantize`; the sum is written over `residual`."""
    patches, width = x.shape
    quantized, scale = _empty_quantized(x)
    total = x if residual is None else residual
    norm_quantize_kernel[(patches,)](
        x, total, weight, weight if bias is None else bias, quantized, scale, width, eps,
        ADD=residual is not None, CENTERED=bias is not None, **_launch(width),
    )  # fmt: skip
    return total, (quantized, scale)


def gelu_quantize(x: Tensor, gelu: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """`api.gelu_quantize`."""
    patches, width = x.shape
    quantized, scale = _empty_quantized(x)
    gelu_quantize_kernel[(patches,)](x, quantized, scale, width, *gelu, **_launch(width))
    return quantized, scale


def _empty_quantized(x: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x, dtype=FP8_DTYPE), torch.empty(len(x), 1, dtype=torch.float32, device=x.device)


def _launch(width: int) -> dict[str, int]:
    block = triton.next_power_of_2(width)
    return {"BLOCK": block, "num_warps": min(8, max(2, block // 512))}


@triton.jit
def norm_quantize_kernel(
    x, residual, weight, bias, quantized, scale, width, eps,
    ADD: tl.constexpr, CENTERED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * width
    column = tl.arange(0, BLOCK)
    mask = column < width
    values = tl.load(x + row + column, mask, other=0.0)
    if ADD:
        addend = tl.load(residual + row + column, mask, other=0.0)
        values = (values.to(tl.float32) + addend.to(tl.float32)).to(values.dtype)
        tl.store(residual + row + column, values, mask)
    values_f32 = values.to(tl.float32)
    if CENTERED:
        values_f32 = tl.where(mask, values_f32 - tl.sum(values_f32) / width, 0.0)
    normed = values_f32 * tl.rsqrt(tl.sum(values_f32 * values_f32) / width + eps)
    normed *= tl.load(weight + column, mask, other=0.0).to(tl.float32)
    if CENTERED:
        normed += tl.load(bias + column, mask, other=0.0).to(tl.float32)
    _store_quantized(normed, quantized, scale, row, column, mask)


@triton.jit
def gelu_quantize_kernel(x, quantized, scale, width, linear, cubic, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * width
    column = tl.arange(0, BLOCK)
    mask = column < width
    values_f32 = tl.load(x + row + column, mask, other=0.0).to(tl.float32)
    _store_quantized(
        values_f32 * tl.sigmoid(values_f32 * (linear + cubic * values_f32 * values_f32)),
        quantized,
        scale,
        row,
        column,
        mask,
    )


@triton.jit
def _store_quantized(values, quantized, scale, row, column, mask):
    row_scale = tl.maximum(tl.max(tl.abs(values)) / FP8_MAX, TINY)
    row_scale += tl.sum(values * 0.0)  # NaN and Inf, which a maximum ignores
    tl.store(scale + tl.program_id(0), row_scale)
    tl.store(quantized + row + column, to_fp8(values / row_scale), mask)
