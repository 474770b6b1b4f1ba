"""What hybrid decoder layers do between their first and their output product: delta nets and gated attention.

The norms are the stock model's own modules; the products around a mixer are fused, or run module by module.

# T = tokens, K = key heads, H = value or query heads, G = key/value heads, X, Y, W = widths of heads
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from texlens.kernels.attention.api import attend
from texlens.kernels.attention.segments import Segments
from texlens.kernels.causal_conv.branches import branched_causal_conv
from texlens.kernels.causal_conv.reference import causal_conv
from texlens.kernels.decoder_layer.attention_half import Mixer
from texlens.kernels.decoder_layer.reference import rotate
from texlens.kernels.delta_net.api import delta_net_kernels
from texlens.kernels.delta_net.weights import DeltaNetWeights
from texlens.kernels.delta_rule.api import delta_rule_kernels
from texlens.kernels.delta_rule.branches import branched_delta_rule
from texlens.kernels.gated_attention.api import gated_attention_kernels
from texlens.kernels.gated_attention.heads import GatedHeads
from texlens.models.families import family_of_text


def mixer_of(layer: Any, text_config: Any) -> Mixer | None:
    """The mixer of a stock decoder layer; None for plain attention, which the fused layers compute themselves."""
    if hasattr(layer, "linear_attn"):
        return DeltaNet(layer.linear_attn)
    return GatedAttention(layer.self_attn) if family_of_text(text_config).gated_attention else None


def mixer_groups(layer: Any) -> tuple[tuple[nn.Module, ...], tuple[nn.Module, ...]]:
    """The linear layers of a decoder layer's first and of its output product."""
    if hasattr(layer, "linear_attn"):
        net = layer.linear_attn
        return (net.in_proj_qkv, net.in_proj_z, net.in_proj_b, net.in_proj_a), (net.out_proj,)
    attention = layer.self_attn
    return (attention.q_proj, attention.k_proj, attention.v_proj), (attention.o_proj,)


class DeltaNet:
    """Causal convolution over queries, keys and values, the gated delta rule, and a gated norm of its output.

    Args:
        net: the stock module (`layer.linear_attn`).
    """

    def __init__(self, net: Any):
        self.net = net
        self.key_width, self.value_width = net.num_k_heads * net.head_k_dim, net.num_v_heads * net.head_v_dim
        self.widths = 2 * self.key_width + self.value_width, self.value_width, net.num_v_heads, net.num_v_heads

    def __call__(self, y: Tensor, cos: Tensor, sin: Tensor, segments: Segments) -> Tensor:
        mixed, gate, beta, decay = y.split(self.widths, -1)
        rule, rates = delta_rule_kernels(y.device), self.rates(beta, decay)
        if segments.prefixes is not None:
            mixed = branched_causal_conv(mixed, self.kernel, segments.prefixes)
            return self.gated(branched_delta_rule(rule, *self.heads(mixed), *rates, segments.prefixes), gate)
        mixed = causal_conv(mixed, self.kernel, segments.offsets(len(y)))
        output, _ = rule.delta_rule(*self.heads(mixed), *rates, segments.cu_seqlens)
        return self.gated(output, gate)

    def with_backward(
        self, y: Tensor, cos: Tensor, sin: Tensor, segments: Segments, extra_columns: tuple[int, int]
    ) -> tuple[Tensor, Callable[[Tensor], Tensor]] | None:
        kernels = delta_net_kernels(y.device)
        if kernels is None:
            return None
        offsets = segments.offsets(len(y))
        if segments.prefixes is not None:
            return kernels.branched_delta_net(self.weights, y, segments.prefixes, offsets, extra_columns=extra_columns)
        return kernels.delta_net(self.weights, y, segments.cu_seqlens, offsets, extra_columns=extra_columns)

    @property
    def weights(self) -> DeltaNetWeights:
        """As the kernels take them."""
        net, norm = self.net, self.net.norm
        heads = net.num_k_heads, net.head_k_dim, net.num_v_heads, net.head_v_dim
        return DeltaNetWeights(self.kernel, net.A_log, net.dt_bias, norm.weight, norm.variance_epsilon, *heads)

    @property
    def kernel(self) -> Tensor:
        """[channels, width]."""
        return self.net.conv1d.weight.squeeze(1)

    def heads(self, mixed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys [T, K, X] and values [T, H, Y] after the convolution."""
        net = self.net
        query, key, value = mixed.split((self.key_width, self.key_width, self.value_width), -1)
        return (
            query.unflatten(-1, (-1, net.head_k_dim)),
            key.unflatten(-1, (-1, net.head_k_dim)),
            value.unflatten(-1, (-1, net.head_v_dim)),
        )

    def rates(self, beta: Tensor, decay: Tensor) -> tuple[Tensor, Tensor]:
        """The logarithm of the decay, in float32, and how much of a value is written, both [T, H]."""
        net = self.net
        return -net.A_log.float().exp() * functional.softplus(decay.float() + net.dt_bias), beta.sigmoid()

    def gated(self, output: Tensor, gate: Tensor) -> Tensor:
        """norm(output) * silu(gate), [T, H Y]."""
        width = self.net.head_v_dim
        return self.net.norm(output.reshape(-1, width), gate.reshape(-1, width)).view(len(gate), -1)


class GatedAttention:
    """Attention whose first rotary part turns with the position, and whose output is multiplied by a gate.

    Args:
        attention: the stock module (`layer.self_attn`); its `q_proj` has the query and the gate of each head.
    """

    def __init__(self, attention: Any):
        self.attention = attention
        self.width = attention.head_dim
        config = attention.config
        self.queries, self.keys = config.num_attention_heads, config.num_key_value_heads

    def __call__(self, y: Tensor, cos: Tensor, sin: Tensor, segments: Segments) -> Tensor:
        query, key, value, gate = self.heads(y, cos, sin)
        return self.gated(attend(query, key, value, segments, causal=True), gate)

    def with_backward(
        self, y: Tensor, cos: Tensor, sin: Tensor, segments: Segments, extra_columns: tuple[int, int]
    ) -> tuple[Tensor, Callable[[Tensor], Tensor]] | None:
        kernels = gated_attention_kernels(y.device)
        if kernels is None:
            return None
        return kernels.gated_attention(self.gated_heads, y, cos, sin, segments, extra_columns=extra_columns)

    @property
    def gated_heads(self) -> GatedHeads:
        """As the kernels take them."""
        query_norm, key_norm = self.attention.q_norm, self.attention.k_norm
        return GatedHeads(self.queries, self.keys, self.width, query_norm.weight, key_norm.weight, query_norm.eps)

    def heads(self, y: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Rotated queries [T, H, W] and keys, values [T, G, W], and gates [T, H, W]."""
        heads = y.unflatten(-1, (-1, self.width))
        doubled, key, value = heads.split((2 * self.queries, self.keys, self.keys), 1)
        query, gate = doubled.unflatten(1, (self.queries, 2)).unbind(2)
        query, key = self.attention.q_norm(query), self.attention.k_norm(key)
        return rotate_part(query, cos, sin), rotate_part(key, cos, sin), value.contiguous(), gate

    def gated(self, output: Tensor, gate: Tensor) -> Tensor:
        """output * sigmoid(gate), [T, H W]."""
        return (output * gate.sigmoid()).flatten(1)


def rotate_part(x: Float[Tensor, "T H W"], cos: Float[Tensor, "T R"], sin: Float[Tensor, "T R"]) -> Tensor:
    """The first R columns of each head rotated, the others as they are."""
    turning = cos.shape[-1]
    return torch.cat([rotate(x[..., :turning], cos, sin), x[..., turning:]], -1)
