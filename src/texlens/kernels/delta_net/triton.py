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
from texlens.kernels.delta_net.triton_branches import branched_delta_net
from texlens.kernels.delta_net.triton_parts import (
    causal_conv,
    causal_conv_backward,
    columns_of,
    gated_norm,
    gated_norm_backward,
    rates,
    rates_backward,
)
from texlens.kernels.delta_net.weights import DeltaNetWeights
from texlens.kernels.delta_rule import triton as delta_rule
from texlens.kernels.delta_rule.reference import EPSILON

__all__ = ["branched_delta_net", "delta_net", "prompts", "step"]
_STATE_COLUMNS = 32


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
    mixed, columns = y.new_empty(rows, channels), columns_of(channels)
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
