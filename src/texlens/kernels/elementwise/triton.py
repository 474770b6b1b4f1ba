"""The elementwise operations of the fused layers as Triton kernels: launches.

Each kernel reads and writes what it must touch once. The results differ from the reference (`decoder_layer.reference`)
by rounding alone. Triton: Tillet et al. 2019.

With `extra_columns`, a result has so many columns more, which the kernels do not write (LoRA A outputs go there).

# T = tokens, D = width, H = query heads, G = key/value heads, W = width of a head, F = width of the MLP
"""

import torch
import triton
from torch import Tensor

from texlens.kernels.elementwise.triton_kernels import (
    add_rms_norm_kernel,
    rms_norm_backward_kernel,
    rms_norm_kernel,
    split_heads_norm_rope_backward_kernel,
    split_heads_norm_rope_kernel,
    swiglu_backward_kernel,
    swiglu_kernel,
)

_COLUMNS = 2048


def rms_norm(x: Tensor, weight: Tensor, eps: float, extra_columns: int = 0) -> Tensor:
    """x / rms(x) * weight, [T, D + extra_columns]."""
    tokens, width = x.shape
    result = x.new_empty(tokens, width + extra_columns)
    rms_norm_kernel[(tokens,)](
        x, weight, result, width, width + extra_columns, eps, BLOCK=triton.next_power_of_2(width)
    )
    return result


def add_rms_norm(x: Tensor, y: Tensor, weight: Tensor, eps: float, extra_columns: int = 0) -> tuple[Tensor, Tensor]:
    """x + y [T, D], written over y, and its norm [T, D + extra_columns]."""
    tokens, width = x.shape
    normed = x.new_empty(tokens, width + extra_columns)
    block = triton.next_power_of_2(width)
    add_rms_norm_kernel[(tokens,)](x, y, weight, normed, width, width + extra_columns, eps, BLOCK=block)
    return y, normed


def rms_norm_backward(
    grad: Tensor, x: Tensor, weight: Tensor, eps: float, residual: Tensor | None, extra_columns: int = 0
) -> tuple[Tensor, Tensor]:
    """The gradient of x plus `residual` [T, D + extra_columns], and the norm of x [T, D], from one read of x."""
    tokens, width = x.shape
    dx, normed = x.new_empty(tokens, width + extra_columns), torch.empty_like(x)
    addend = grad if residual is None else residual
    rms_norm_backward_kernel[(tokens,)](
        grad,
        x,
        weight,
        addend,
        dx,
        normed,
        width,
        addend.stride(0),
        width + extra_columns,
        eps,
        ADD=residual is not None,
        BLOCK=triton.next_power_of_2(width),
    )
    return dx, normed


def swiglu(gate_up: Tensor, extra_columns: int = 0) -> Tensor:
    """silu(gate) * up [T, F + extra_columns], from gate and up side by side [T, 2F]."""
    tokens, width = gate_up.shape[0], gate_up.shape[1] // 2
    result = gate_up.new_empty(tokens, width + extra_columns)
    swiglu_kernel[(tokens, triton.cdiv(width, _COLUMNS))](gate_up, result, width, width + extra_columns, BLOCK=_COLUMNS)
    return result


def swiglu_backward(grad: Tensor, gate_up: Tensor, extra_columns: int = 0) -> tuple[Tensor, Tensor]:
    """The gradient of `gate_up` [T, 2F + extra_columns], and the result of `swiglu` [T, F]."""
    tokens, width = gate_up.shape[0], gate_up.shape[1] // 2
    dgate_up, result = gate_up.new_empty(tokens, 2 * width + extra_columns), gate_up.new_empty(tokens, width)
    swiglu_backward_kernel[(tokens, triton.cdiv(width, _COLUMNS))](
        grad, gate_up, dgate_up, result, width, grad.stride(0), 2 * width + extra_columns, BLOCK=_COLUMNS
    )
    return dgate_up, result


def split_heads_norm_rope(
    y: Tensor, queries: int, keys: int, width: int, norms: tuple[Tensor, Tensor] | None, eps: float, cos: Tensor, sin
) -> tuple[Tensor, Tensor]:
    """Rotated queries [T, H, W] and keys [T, G, W], normalized where there are norms, from y [T, (H+2G)W]."""
    tokens = len(y)
    query, key = y.new_empty(tokens, queries, width), y.new_empty(tokens, keys, width)
    first, second = norms or (cos, cos)
    split_heads_norm_rope_kernel[(tokens,)](
        y,
        first,
        second,
        cos,
        sin,
        query,
        key,
        y.stride(0),
        eps,
        H=queries,
        G=keys,
        HALF=width // 2,
        NORM=norms is not None,
        HEADS=triton.next_power_of_2(queries + keys),
        BLOCK=triton.next_power_of_2(width // 2),
    )
    return query, key


def split_heads_norm_rope_backward(
    dquery: Tensor,
    dkey: Tensor,
    dvalue: Tensor,
    y: Tensor | None,
    norms: tuple[Tensor, Tensor] | None,
    eps: float,
    cos: Tensor,
    sin: Tensor,
    extra_columns: int = 0,
) -> Tensor:
    """The gradient of y [T, (H+2G)W + extra_columns] from those of queries, keys and values."""
    tokens, queries, width = dquery.shape
    keys = dkey.shape[1]
    dquery, dkey, dvalue = dquery.contiguous(), dkey.contiguous(), dvalue.contiguous()
    dy = dquery.new_empty(tokens, (queries + 2 * keys) * width + extra_columns)
    first, second = norms or (cos, cos)
    split_heads_norm_rope_backward_kernel[(tokens,)](
        dquery,
        dkey,
        dvalue,
        dy if y is None else y,
        first,
        second,
        cos,
        sin,
        dy,
        dy.stride(0),
        eps,
        H=queries,
        G=keys,
        HALF=width // 2,
        NORM=norms is not None,
        HEADS=triton.next_power_of_2(queries + 2 * keys),
        BLOCK=triton.next_power_of_2(width // 2),
    )
    return dy
