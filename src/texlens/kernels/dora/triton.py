"""The scaling of DoRA's outputs and of their gradients as Triton kernels that read each tensor once.

# T = tokens, N = width out
"""

import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

_ROWS, _COLUMNS, _PROGRAMS = 16, 256, 1056
"""Of a tile, and programs that sum: eight for each of an H200's multiprocessors."""


def scale_columns(
    x: Float[Tensor, "T N"], scale: Float[Tensor, " N"], bias: Float[Tensor, " N"] | None, out: Float[Tensor, "T N"]
) -> Float[Tensor, "T N"]:
    """`reference.scale_columns`; rows may be strided."""
    tokens, width = x.shape
    _scale_columns_kernel[(triton.cdiv(width, _COLUMNS), triton.cdiv(tokens, _ROWS))](
        x, scale, scale if bias is None else bias, out, tokens, width, x.stride(0), out.stride(0),
        BIAS=bias is not None, ROWS=_ROWS, COLUMNS=_COLUMNS, num_warps=4,
    )  # fmt: skip
    return out


def scale_grad(
    grad: Float[Tensor, "T N"], x: Float[Tensor, "T N"], scale: Float[Tensor, " N"], out: Float[Tensor, "T N"]
) -> Float[Tensor, " N"]:
    """`reference.scale_grad`; rows may be strided."""
    tokens, width = x.shape
    columns = triton.cdiv(width, _COLUMNS)
    span = max(1, triton.cdiv(triton.cdiv(tokens, max(1, _PROGRAMS // columns)), _ROWS)) * _ROWS
    chunks = triton.cdiv(tokens, span)
    sums = scale.new_empty(chunks, width)
    _scale_grad_kernel[(columns, chunks)](
        grad, x, scale, out, sums, tokens, width, span, grad.stride(0), x.stride(0), out.stride(0),
        ROWS=_ROWS, COLUMNS=_COLUMNS, num_warps=4, num_stages=3,
    )  # fmt: skip
    return sums.sum(0)


@triton.jit(do_not_specialize=["tokens"])
def _scale_columns_kernel(
    x, scale, bias, out, tokens, width, x_stride, out_stride,
    BIAS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    row = (tl.program_id(1) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    mask = (row < tokens)[:, None] & (column < width)[None]
    values = tl.load(x + row[:, None] * x_stride + column[None], mask, other=0.0).to(tl.float32)
    values *= tl.load(scale + column, column < width, other=0.0).to(tl.float32)[None]
    if BIAS:
        values += tl.load(bias + column, column < width, other=0.0).to(tl.float32)[None]
    tl.store(out + row[:, None] * out_stride + column[None], values.to(out.dtype.element_ty), mask)


@triton.jit(do_not_specialize=["tokens", "span"])
def _scale_grad_kernel(
    grad, x, scale, out, sums, tokens, width, span, grad_stride, x_stride, out_stride,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    chunk = tl.program_id(1)
    scales = tl.load(scale + column, column < width, other=0.0).to(tl.float32)[None]
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(chunk * span, tl.minimum(chunk * span + span, tokens), ROWS):
        row = (start + tl.arange(0, ROWS)).to(tl.int64)
        mask = (row < tokens)[:, None] & (column < width)[None]
        grads = tl.load(grad + row[:, None] * grad_stride + column[None], mask, other=0.0).to(tl.float32)
        total += grads * tl.load(x + row[:, None] * x_stride + column[None], mask, other=0.0).to(tl.float32)
        tl.store(out + row[:, None] * out_stride + column[None], (grads * scales).to(out.dtype.element_ty), mask)
    tl.store(sums + chunk.to(tl.int64) * width + column, tl.sum(total, 0), column < width)
