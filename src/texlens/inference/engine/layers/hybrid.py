"""Delta nets and gated attention over rows that have a cache: prompts in packs, then step by step.

A delta net's row has the last inputs of its convolution and a recurrent state, both by slot and of one size whatever
the row's length. A row that joins begins with an empty state, which its prompt's pack leaves behind; padding is never
part of a segment, and so never reaches a state.

# T = rows or tokens, B = rows that join, N = width of the first product, S = slots (and one more, for padding)
# L = delta nets, C = channels, W = width of the convolution, H = value heads, X, Y = widths of keys and values
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from texlens.inference.engine.cache import PagedCache
from texlens.inference.engine.recurrent_states import RecurrentStates
from texlens.kernels.attention.segments import Segments
from texlens.kernels.causal_conv.reference import causal_conv, causal_conv_step, last_inputs
from texlens.kernels.delta_net.api import DeltaNetKernels, delta_net_kernels
from texlens.kernels.delta_rule.reference import delta_rule, delta_step
from texlens.kernels.gated_attention.api import gated_attention_kernels
from texlens.models.packed.mixers import DeltaNet, GatedAttention, Mixer, mixer_of


@dataclass(frozen=True)
class RowFlow:
    """What the layers of one pass share.

    Args:
        at: where each token's keys and values go in the cache.
        attention: (query [T, H, W], key [T, G, W], value [T, G, W], number of the layer) to [T, H, W].
        slots: of the rows: [B] of a pack's prompts, [T] of a step.
        segments: of a pack's prompts and its padding; None in a step.
    """

    cos: Tensor
    sin: Tensor
    at: Tensor
    attention: Callable[[Tensor, Tensor, Tensor, int], Tensor]
    slots: Tensor | None
    segments: Segments | None


RowMixer = Callable[[Tensor, RowFlow, PagedCache], Tensor]
"""From the first product [T, N] to the input of the output product."""


def row_mixer(layer: Any, text_config: Any, number: int) -> RowMixer | None:
    """Of a stock decoder layer; None for plain attention.

    Args:
        number: of the layer among those of its kind.
    """
    mixer: Mixer | None = mixer_of(layer, text_config)
    if isinstance(mixer, DeltaNet):
        return _DeltaNetRows(mixer, number)
    return _GatedAttentionRows(mixer, number) if isinstance(mixer, GatedAttention) else None


class _DeltaNetRows:
    def __init__(self, net: DeltaNet, number: int):
        self._net, self._number = net, number

    def __call__(self, y_TN: Tensor, flow: RowFlow, cache: PagedCache) -> Tensor:
        assert cache.states is not None
        assert flow.slots is not None
        kernels = delta_net_kernels(y_TN.device)
        if flow.segments is not None:
            return self._prompts(kernels, y_TN, flow.segments, flow.slots, cache.states)
        if kernels is None:
            return self._step(y_TN, flow.slots, cache.states)
        windows_SCW, states_SHXY = cache.states.of(self._number)
        return kernels.step(self._net.weights, y_TN, flow.slots, windows_SCW, states_SHXY)

    def _prompts(
        self,
        kernels: DeltaNetKernels | None,
        y_TN: Tensor,
        segments: Segments,
        slots_B: Tensor,
        states: RecurrentStates,
    ) -> Tensor:
        net, bounds = self._net, segments.cu_seqlens
        mixed_TC, gate_TN, beta_TH, decay_TH = y_TN.split(net.widths, -1)
        if kernels is not None:
            result, state_BHXY = kernels.prompts(net.weights, y_TN, bounds, segments.offsets(len(y_TN)))
        else:
            query, key, value = net.heads(causal_conv(mixed_TC, net.kernel, segments.offsets(len(y_TN))))
            output, state_BHXY = delta_rule(query, key, value, *net.rates(beta_TH, decay_TH), bounds)
            result = net.gated(output, gate_TN)
        window_BCW = last_inputs(mixed_TC, bounds, net.kernel.shape[1])[: len(slots_B)]
        states.write(self._number, slots_B, window_BCW, state_BHXY[: len(slots_B)])
        return result

    def _step(self, y_TN: Tensor, slots_T: Tensor, states: RecurrentStates) -> Tensor:
        mixed_TC, gate_TN, beta_TH, decay_TH = y_TN.split(self._net.widths, -1)
        window_TCW, state_THXY = states.read(self._number, slots_T)
        inputs_TC, window_TCW = causal_conv_step(mixed_TC, self._net.kernel, window_TCW)
        query, key, value = self._net.heads(inputs_TC)
        output_THY, state_THXY = delta_step(query, key, value, *self._net.rates(beta_TH, decay_TH), state_THXY)
        states.write(self._number, slots_T, window_TCW, state_THXY)
        return self._net.gated(output_THY, gate_TN)


class _GatedAttentionRows:
    def __init__(self, attention: GatedAttention, number: int):
        self._attention, self._number = attention, number

    def __call__(self, y_TN: Tensor, flow: RowFlow, cache: PagedCache) -> Tensor:
        kernels, attention = gated_attention_kernels(y_TN.device), self._attention
        if kernels is None:
            query, key, value, gate = attention.heads(y_TN, flow.cos, flow.sin)
            return attention.gated(self._attend(query, key, value, flow, cache), gate)
        heads = attention.gated_heads
        query, key = kernels.split(heads, y_TN, flow.cos, flow.sin)
        return kernels.gate(heads, self._attend(query, key, heads.values(y_TN), flow, cache), y_TN)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, flow: RowFlow, cache: PagedCache) -> Tensor:
        at_T = flow.at.long()
        cache.keys[self._number][at_T], cache.values[self._number][at_T] = key, value
        return flow.attention(query, key, value, self._number)


def state_shape(text_config: Any) -> tuple[int, int, int, int, int, int] | None:
    """Delta nets, channels, width of the convolution, value heads, widths of keys and values; None without any."""
    kinds = getattr(text_config, "layer_types", None) or ()
    count = sum(kind == "linear_attention" for kind in kinds)
    if not count:
        return None
    keys = text_config.linear_num_key_heads * text_config.linear_key_head_dim
    values = text_config.linear_num_value_heads * text_config.linear_value_head_dim
    return (
        count,
        2 * keys + values,
        text_config.linear_conv_kernel_dim,
        text_config.linear_num_value_heads,
        text_config.linear_key_head_dim,
        text_config.linear_value_head_dim,
    )


def new_states(text_config: Any, slots: int, dtype: torch.dtype, device: torch.device) -> RecurrentStates | None:
    """For `slots` rows and padding; None for a model without delta nets."""
    shape = state_shape(text_config)
    return None if shape is None else RecurrentStates(shape, slots, dtype, device)
