"""The norms of a vision block and the sums around them as Triton kernels, one program a row.

# P = patches, D = width
"""

import triton
import triton.language as tl
from torch import Tensor


def add_norm(
    x: Tensor, residual: Tensor | None, weight: Tensor, bias: Tensor | None, eps: float, extra_columns: int = 0
) -> tuple[Tensor, Tensor]:
    """`norm.add_norm`."""
    patches, width = x.shape
    total = x if residual is None else x.new_empty(patches, width)
    normed = x.new_empty(patches, width + extra_columns)
    block = triton.next_power_of_2(width)
    add_norm_kernel[(patches,)](
        x, x if residual is None else residual, total, weight, weight if bias is None else bias, normed,
        width, width + extra_columns, eps, ADD=residual is not None, CENTERED=bias is not None,
        BLOCK=block, num_warps=_warps(block),
    )  # fmt: skip
    return total, normed


def norm_backward(
    grad: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, eps: float, addend: Tensor, extra_columns: int = 0
) -> tuple[Tensor, Tensor]:
    """`norm.norm_backward`."""
    patches, width = x.shape
    dx, normed = x.new_empty(patches, width + extra_columns), x.new_empty(patches, width)
    block = triton.next_power_of_2(width)
    norm_backward_kernel[(patches,)](
        grad, x, weight, weight if bias is None else bias, addend, dx, normed,
        width, grad.stride(0), x.stride(0), addend.stride(0), width + extra_columns, eps,
        CENTERED=bias is not None, BLOCK=block, num_warps=_warps(block),
    )  # fmt: skip
    return dx, normed


def _warps(block: int) -> int:
    return min(8, max(1, block // 512))


@triton.jit
def add_norm_kernel(
    x, residual, total, weight, bias, normed, width, normed_width, eps,
    ADD: tl.constexpr, CENTERED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    mask = column < width
    values = tl.load(x + row * width + column, mask, other=0.0)
    if ADD:
        addend = tl.load(residual + row * width + column, mask, other=0.0)
        values = (values.to(tl.float32) + addend.to(tl.float32)).to(values.dtype)
        tl.store(total + row * width + column, values, mask)
    values_f32 = values.to(tl.float32)
    if CENTERED:
        values_f32 = tl.where(mask, values_f32 - tl.sum(values_f32) / width, 0.0)
    result = values_f32 * tl.rsqrt(tl.sum(values_f32 * values_f32) / width + eps)
    result *= tl.load(weight + column, mask, other=0.0).to(tl.float32)
    if CENTERED:
        result += tl.load(bias + column, mask, other=0.0).to(tl.float32)
    tl.store(normed + row * normed_width + column, result.to(normed.dtype.element_ty), mask)


@triton.jit
def norm_backward_kernel(
    grad, x, weight, bias, addend, dx, normed, width, grad_stride, x_stride, addend_stride, dx_stride, eps,
    CENTERED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    mask = column < width
    values = tl.load(x + row * x_stride + column, mask, other=0.0).to(tl.float32)
    if CENTERED:
        values = tl.where(mask, values - tl.sum(values) / width, 0.0)
    inverse = tl.rsqrt(tl.sum(values * values) / width + eps)
    values *= inverse
    scale = tl.load(weight + column, mask, other=0.0).to(tl.float32)
    grads = tl.load(grad + row * grad_stride + column, mask, other=0.0).to(tl.float32) * scale
    result = grads - values * (tl.sum(grads * values) / width)
    if CENTERED:
        result -= tl.sum(grads) / width
    result = result * inverse + tl.load(addend + row * addend_stride + column, mask, other=0.0).to(tl.float32)
    tl.store(dx + row * dx_stride + column, result.to(dx.dtype.element_ty), mask)
    values *= scale
    if CENTERED:
        values += tl.load(bias + column, mask, other=0.0).to(tl.float32)
    tl.store(normed + row * width + column, values.to(normed.dtype.element_ty), mask)
