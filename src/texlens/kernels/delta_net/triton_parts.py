"""The parts of a delta net beside the delta rule as Triton kernels: convolution, rates and gated norm, both ways.

# T = tokens, N = columns of the first product, C = channels of the convolution, W = its width
# H = value heads, Y = width of a value
"""

import torch
import triton
from torch import Tensor

from texlens.kernels.delta_net import triton_kernels
from texlens.kernels.delta_net.weights import DeltaNetWeights

_CONV = {"ROWS": 8, "num_warps": 4}
_CONV_BACKWARD = {"ROWS": 4, "num_warps": 4}
_CONV_COLUMNS = 128
_RATES = 1024
_NORM = {"ROWS": 16, "num_warps": 4}


def causal_conv(x: Tensor, kernel: Tensor, offsets: Tensor) -> Tensor:
    """`causal_conv.reference.causal_conv`, contiguous [T, C]; rows of x may be strided."""
    tokens, channels = x.shape
    result = x.new_empty(tokens, channels)
    columns = columns_of(channels)
    triton_kernels.conv_kernel[(triton.cdiv(tokens, _CONV["ROWS"]), channels // columns)](
        x, kernel, offsets, result, tokens, x.stride(0), channels, TAPS=kernel.shape[1], COLUMNS=columns, **_CONV
    )
    return result


def causal_conv_backward(grad: Tensor, x: Tensor, kernel: Tensor, offsets: Tensor, to: Tensor) -> None:
    """Writes the gradient of x to `to` [T, C], whose rows may be strided."""
    tokens, channels = x.shape
    columns = columns_of(channels)
    triton_kernels.conv_backward_kernel[(triton.cdiv(tokens, _CONV_BACKWARD["ROWS"]), channels // columns)](
        grad, x, kernel, offsets, to, tokens, grad.stride(0), x.stride(0), to.stride(0), TAPS=kernel.shape[1],
        COLUMNS=columns, **_CONV_BACKWARD,
    )  # fmt: skip


def rates(weights: DeltaNetWeights, beta_in: Tensor, decay_in: Tensor) -> tuple[Tensor, Tensor]:
    """The logarithm of the decay and beta, float32 [T, H]."""
    tokens, heads = beta_in.shape
    log_decay, beta = (torch.empty(tokens, heads, device=beta_in.device) for _ in range(2))
    triton_kernels.rates_kernel[(triton.cdiv(tokens * heads, _RATES),)](
        beta_in, decay_in, weights.a_log, weights.dt_bias, log_decay, beta, tokens * heads, beta_in.stride(0),
        HEADS=heads, ROWS=_RATES,
    )  # fmt: skip
    return log_decay, beta


def rates_backward(
    weights: DeltaNetWeights,
    grad_decay: Tensor,
    grad_beta: Tensor,
    beta: Tensor,
    decay_in: Tensor,
    of_beta: Tensor,
    of_decay: Tensor,
) -> None:
    """Writes the gradients of the first product's columns to `of_beta` and `of_decay`."""
    tokens, heads = beta.shape
    triton_kernels.rates_backward_kernel[(triton.cdiv(tokens * heads, _RATES),)](
        grad_decay, grad_beta, beta, decay_in, weights.a_log, weights.dt_bias, of_beta, of_decay, tokens * heads,
        decay_in.stride(0), of_beta.stride(0), HEADS=heads, ROWS=_RATES,
    )  # fmt: skip


def gated_norm(weights: DeltaNetWeights, x: Tensor, gate: Tensor, extra_columns: int = 0) -> Tensor:
    """x / rms(x) * weight * silu(gate), [T, H Y + extra_columns], from x [T, H, Y] and the gate [T, H Y]."""
    tokens, heads, width = x.shape
    result = x.new_empty(tokens, heads * width + extra_columns)
    triton_kernels.gated_norm_kernel[(triton.cdiv(tokens * heads, _NORM["ROWS"]),)](
        x, gate, weights.norm, result, tokens * heads, gate.stride(0), result.stride(0), weights.eps, HEADS=heads,
        WIDTH=width, PADDED=triton.next_power_of_2(width), **_NORM,
    )  # fmt: skip
    return result


def gated_norm_backward(weights: DeltaNetWeights, grad: Tensor, x: Tensor, gate: Tensor, of_gate: Tensor) -> Tensor:
    """The gradient of x [T, H, Y] from that of the result [T, H Y]; that of the gate is written to `of_gate`."""
    tokens, heads, width = x.shape
    grad = grad if grad.stride(1) == 1 else grad.contiguous()
    of_x = torch.empty_like(x)
    triton_kernels.gated_norm_backward_kernel[(triton.cdiv(tokens * heads, _NORM["ROWS"]),)](
        grad, x, gate, weights.norm, of_x, of_gate, tokens * heads, grad.stride(0), gate.stride(0), of_gate.stride(0),
        weights.eps, HEADS=heads, WIDTH=width, PADDED=triton.next_power_of_2(width), **_NORM,
    )  # fmt: skip
    return of_x


def columns_of(channels: int) -> int:
    """Of a program: the largest power of two up to 128 that divides the number of channels."""
    return min(_CONV_COLUMNS, channels & -channels)
