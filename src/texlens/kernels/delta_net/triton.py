"""A whole delta net between its first and its output product as Triton kernels, forward and backward, outside autograd.

Causal convolution, rates, gated delta rule, gated norm. Gradients are written to the columns of the first product's
gradient, so that nothing is concatenated. The reference is `models.packed.mixers.DeltaNet` under autograd.

# T = tokens, N = columns of the first product, C = channels of the convolution, W = its width
# K = key heads, H = value heads, X, Y = widths of keys and values
"""

from collections.abc import Callable

import torch
import triton
from torch import Tensor

from texlens.kernels.delta_net import triton_kernels
from texlens.kernels.delta_net.weights import DeltaNetWeights
from texlens.kernels.delta_rule import triton as delta_rule
from texlens.kernels.delta_rule.reference import EPSILON

_CONV = {"ROWS": 8, "num_warps": 4}
_CONV_BACKWARD = {"ROWS": 4, "num_warps": 4}
_CONV_COLUMNS = 128
_RATES = 1024
_STATE_COLUMNS = 32
_NORM = {"ROWS": 16, "num_warps": 4}


def delta_net(
    weights: DeltaNetWeights, y: Tensor, cu_seqlens: Tensor, offsets: Tensor, *, extra_columns: tuple[int, int] = (0, 0)
) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """See `api.DeltaNetKernels.delta_net`."""
    mixed_in, gate, beta_in, decay_in = weights.columns(y)
    mixed = causal_conv(mixed_in, weights.kernel, offsets)
    log_decay, beta = rates(weights, beta_in, decay_in)
    output, _, saved = delta_rule.forward(*weights.heads(mixed), log_decay, beta, cu_seqlens, None)
    result = gated_norm(weights, output, gate, extra_columns[0])

    def backward(grad: Tensor) -> Tensor:
        of_y = y.new_empty(len(y), weights.width + extra_columns[1])
        of_mixed_in, of_gate, of_beta, of_decay = weights.columns(of_y)
        of_output = gated_norm_backward(weights, grad, output, gate, of_gate)
        of_mixed = torch.empty_like(mixed)
        of_log_decay, of_rate, _ = delta_rule.backward(
            of_output, None, *weights.heads(mixed), beta, cu_seqlens, saved, to=weights.heads(of_mixed)
        )
        rates_backward(weights, of_log_decay, of_rate, beta, decay_in, of_beta, of_decay)
        causal_conv_backward(of_mixed, mixed_in, weights.kernel, offsets, of_mixed_in)
        return of_y

    return result, backward


def prompts(weights: DeltaNetWeights, y: Tensor, cu_seqlens: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """See `api.DeltaNetKernels.prompts`."""
    mixed_in, gate, beta_in, decay_in = weights.columns(y)
    mixed = causal_conv(mixed_in, weights.kernel, offsets)
    log_decay, beta = rates(weights, beta_in, decay_in)
    output, final, _ = delta_rule.forward(*weights.heads(mixed), log_decay, beta, cu_seqlens, None)
    return gated_norm(weights, output, gate), final


def step(weights: DeltaNetWeights, y: Tensor, slots: Tensor, windows: Tensor, states: Tensor) -> Tensor:
    """See `api.DeltaNetKernels.step`."""
    assert windows.is_contiguous()
    assert states.is_contiguous()
    mixed_in, gate, beta_in, decay_in = weights.columns(y)
    rows, channels = mixed_in.shape
    mixed, columns = y.new_empty(rows, channels), _columns(channels)
    triton_kernels.conv_step_kernel[(rows, channels // columns)](
        mixed_in, weights.kernel, windows, slots, mixed, y.stride(0), CHANNELS=channels, TAPS=weights.kernel.shape[1],
        COLUMNS=columns, num_warps=4,
    )  # fmt: skip
    heads, width = weights.value_heads, weights.value_width
    output = y.new_empty(rows, heads, width)
    columns = min(_STATE_COLUMNS, triton.next_power_of_2(width))
    triton_kernels.delta_step_kernel[(rows, heads, triton.cdiv(width, columns))](
        mixed, beta_in, decay_in, weights.a_log, weights.dt_bias, states, slots, output, y.stride(0),
        weights.key_width**-0.5, EPSILON, HEADS=heads, REPEATS=heads // weights.key_heads, X=weights.key_width,
        Y=width, PX=triton.next_power_of_2(weights.key_width), COLUMNS=columns, num_warps=4,
    )  # fmt: skip
    return gated_norm(weights, output, gate)


def causal_conv(x: Tensor, kernel: Tensor, offsets: Tensor) -> Tensor:
    """`causal_conv.reference.causal_conv`, contiguous [T, C]; rows of x may be strided."""
    tokens, channels = x.shape
    result = x.new_empty(tokens, channels)
    columns = _columns(channels)
    triton_kernels.conv_kernel[(triton.cdiv(tokens, _CONV["ROWS"]), channels // columns)](
        x, kernel, offsets, result, tokens, x.stride(0), channels, TAPS=kernel.shape[1], COLUMNS=columns, **_CONV
    )
    return result


def causal_conv_backward(grad: Tensor, x: Tensor, kernel: Tensor, offsets: Tensor, to: Tensor) -> None:
    """Writes the gradient of x to `to` [T, C], whose rows may be strided."""
    tokens, channels = x.shape
    columns = _columns(channels)
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


def _columns(channels: int) -> int:
    """Of a program: the largest power of two up to 128 that divides the number of channels."""
    return min(_CONV_COLUMNS, channels & -channels)
