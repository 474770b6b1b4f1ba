"""Both forms of GELU in Triton: forward in one pass, and gradient and activation in one.

# P = patches, F = width of the MLP
"""

import triton
import triton.language as tl
from torch import Tensor

from texlens.kernels.elementwise.triton_kernels import sigmoid
from texlens.kernels.vision_block.reference import CUBE, QUICK, TANH

_COLUMNS = 2048


def gelu(kind: str, x: Tensor, extra_columns: int) -> Tensor:
    patches, width = x.shape
    act = x.new_empty(patches, width + extra_columns)
    gelu_kernel[(patches, triton.cdiv(width, _COLUMNS))](
        x, act, width, x.stride(0), width + extra_columns, **_constants(kind)
    )
    return act


def gelu_backward(kind: str, grad: Tensor, x: Tensor, extra_columns: int) -> tuple[Tensor, Tensor]:
    patches, width = x.shape
    dx, act = x.new_empty(patches, width + extra_columns), x.new_empty(patches, width)
    gelu_backward_kernel[(patches, triton.cdiv(width, _COLUMNS))](
        grad, x, dx, act, width, grad.stride(0), x.stride(0), width + extra_columns, **_constants(kind)
    )
    return dx, act


def _constants(kind: str) -> dict[str, float | int]:
    """z = LINEAR (x + CUBIC x^3)."""
    linear, cubic = (2 * TANH, CUBE) if kind == "gelu_tanh" else (QUICK, 0.0)
    return {"LINEAR": linear, "CUBIC": cubic, "BLOCK": _COLUMNS}


@triton.jit
def gelu_kernel(x, act, width, x_stride, act_stride, LINEAR: tl.constexpr, CUBIC: tl.constexpr, BLOCK: tl.constexpr):
    row, column = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = column < width
    values = tl.load(x + row * x_stride + column, mask, other=0.0).to(tl.float32)
    result = values * sigmoid(LINEAR * (values + CUBIC * values * values * values))
    tl.store(act + row * act_stride + column, result.to(act.dtype.element_ty), mask)


@triton.jit
def gelu_backward_kernel(
    grad, x, dx, act, width, grad_stride, x_stride, dx_stride,
    LINEAR: tl.constexpr, CUBIC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row, column = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = column < width
    values = tl.load(x + row * x_stride + column, mask, other=0.0).to(tl.float32)
    grads = tl.load(grad + row * grad_stride + column, mask, other=0.0).to(tl.float32)
    square = values * values
    gate = sigmoid(LINEAR * (values + CUBIC * square * values))
    grad_of_z = LINEAR * (1 + 3 * CUBIC * square)
    result = grads * gate * (1 + values * (1 - gate) * grad_of_z)
    tl.store(dx + row * dx_stride + column, result.to(dx.dtype.element_ty), mask)
    tl.store(act + row * width + column, (values * gate).to(act.dtype.element_ty), mask)
