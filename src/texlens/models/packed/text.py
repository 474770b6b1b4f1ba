"""The language models of the four families over a whole pack: embedding, layers, and where images go in.

# T = tokens, D = width, H = heads, W = width of a head

A layer runs in the fused form (`kernels.fused`) where its linear layers allow it, else module by module.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from texlens.kernels.attention import Segments, attend, segments
from texlens.kernels.fused import PLAIN, Heads, Passes, after_attention, into_heads, rms_norm, rotate
from texlens.models.packed.projections import Projection, stack, why_not

Layer = Callable[[Tensor, Tensor, Tensor, Segments], Tensor]
RECOMPUTE = ("none", "mlp", "full")


class PackedText:
    """A stock language model, run over packs.

    Args:
        language_model: the stock module (`model.language_model`), adapted or not.
        recompute: what the backward pass makes again: `none` only what is cheap (norms and the activation), `mlp` the
            gate and up products too, `full` the whole layer.
        fused: False runs every layer module by module, as the twin of the fused form.
        passes: the form in which fused layers run.
    """

    def __init__(self, language_model: Any, *, recompute: str = "none", fused: bool = True, passes: Passes = PLAIN):
        self.model, self.config = language_model, language_model.config
        self.full = recompute == "full"
        self.unfused: dict[int, str] = {}
        self.layers: list[Layer] = []
        for number, layer in enumerate(language_model.layers):
            reason = why_not_fused(layer) if fused else "told so"
            if reason:
                self.unfused[number] = reason
            self.layers.append(PlainLayer(layer) if reason else FusedLayer(layer, recompute == "none", passes))

    def embed(self, ids: Tensor) -> Tensor:
        return self.model.embed_tokens(ids)

    def __call__(self, x: Tensor, positions: Tensor, where: Segments, image_rows: Tensor, deep: list[Tensor]) -> Tensor:
        """Hidden states [T, D] before the last norm; `deep` is added to the image tokens after the first layers."""
        cos, sin = self.rotary(positions)
        for number, layer in enumerate(self.layers):
            if self.full and torch.is_grad_enabled():
                x = checkpoint(layer, x, cos, sin, where, use_reentrant=False)
            else:
                x = layer(x, cos, sin, where)
            if number < len(deep):
                x = x.index_add(0, image_rows, deep[number].to(x.dtype))
        return x

    def rotary(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """cos, sin [T, W] in float32 of M-RoPE positions [3, T]; each frequency turns with one of the three."""
        spectrum = self.model.rotary_emb.inv_freq.to(positions.device, torch.float32)
        axes = frequency_axes(self.config.rope_parameters, len(spectrum), self.config.model_type)
        angles = positions.float()[axes.to(positions.device)].T * spectrum
        angles = torch.cat([angles, angles], -1)
        scale = self.model.rotary_emb.attention_scaling
        return angles.cos() * scale, angles.sin() * scale


def frequency_axes(rope: dict, count: int, model_type: str) -> Tensor:
    """Which position (0 time, 1 row, 2 column) each of `count` frequencies turns with.

    Qwen2 and 2.5 give each axis a run of frequencies, Qwen3 deals them out in turn.
    """
    sections = rope.get("mrope_section") or _default_sections(model_type)
    if not model_type.startswith("qwen3"):
        return torch.repeat_interleave(torch.arange(3), torch.tensor(sections))
    axes = torch.zeros(count, dtype=torch.long)
    for axis in (1, 2):
        axes[axis : sections[axis] * 3 : 3] = axis
    return axes


def _default_sections(model_type: str) -> list[int]:
    return [24, 20, 20] if model_type.startswith("qwen3") else [16, 24, 24]


def why_not_fused(layer: Any) -> str | None:
    """What keeps a decoder layer from the fused form, or None."""
    if not hasattr(layer.mlp, "gate_proj"):
        return "a mixture of experts"
    attention, mlp = layer.self_attn, layer.mlp
    if getattr(attention, "sliding_window", None):
        return "sliding-window attention"
    names = (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj)
    reasons = (why_not(part) for part in (*names, mlp.gate_proj, mlp.up_proj, mlp.down_proj))
    return next((reason for reason in reasons if reason), None)


def _heads(attention: Any, config) -> Heads:
    query_norm, key_norm = getattr(attention, "q_norm", None), getattr(attention, "k_norm", None)
    return Heads(
        config.num_attention_heads,
        config.num_key_value_heads,
        attention.head_dim,
        query_norm.weight if query_norm is not None else None,
        key_norm.weight if key_norm is not None else None,
    )


@dataclass(frozen=True)
class _Parts:
    qkv: Projection
    out: Projection
    gate_up: Projection
    down: Projection


class FusedLayer:
    def __init__(self, layer: Any, keep_wide: bool, passes: Passes):
        attention, mlp = layer.self_attn, layer.mlp
        self.heads = _heads(attention, attention.config)
        self.first, self.second = layer.input_layernorm, layer.post_attention_layernorm
        self.keep_wide, self.passes = keep_wide, passes
        self.parts = _Parts(
            stack([attention.q_proj, attention.k_proj, attention.v_proj]),
            stack([attention.o_proj]),
            stack([mlp.gate_proj, mlp.up_proj]),
            stack([mlp.down_proj]),
        )

    def __call__(self, x: Tensor, cos: Tensor, sin: Tensor, where: Segments) -> Tensor:
        eps, parts = self.first.variance_epsilon, self.parts
        query, key, value = into_heads(
            x, self.first.weight, eps, parts.qkv.adapted(), self.heads, cos, sin, self.passes
        )
        mixed = attend(query, key, value, where, causal=True).flatten(1)
        rest = parts.out.adapted(), parts.gate_up.adapted(), parts.down.adapted()
        return after_attention(
            mixed, x, self.second.weight, self.second.variance_epsilon, *rest, self.keep_wide, self.passes
        )


class PlainLayer:
    """Module by module, so that whatever sits on or in the layer takes part."""

    def __init__(self, layer: Any):
        self.layer = layer
        self.heads = _heads(layer.self_attn, layer.self_attn.config)

    def __call__(self, x: Tensor, cos: Tensor, sin: Tensor, where: Segments) -> Tensor:
        layer, attention, width = self.layer, self.layer.self_attn, self.heads.width
        y = layer.input_layernorm(x)
        projections = (attention.q_proj, attention.k_proj, attention.v_proj)
        query, key, value = (project(y).unflatten(-1, (-1, width)) for project in projections)
        if self.heads.query_norm is not None and self.heads.key_norm is not None:
            query = rms_norm(query, self.heads.query_norm, attention.q_norm.variance_epsilon)
            key = rms_norm(key, self.heads.key_norm, attention.k_norm.variance_epsilon)
        mixed = attend(rotate(query, cos, sin), rotate(key, cos, sin), value, where, causal=True)
        x = x + attention.o_proj(mixed.flatten(1))
        y = layer.mlp(layer.post_attention_layernorm(x)[None])
        return x + (y[0] if isinstance(y, tuple) else y)[0]


def text_segments(pack: dict) -> Segments:
    return segments(pack["text_ends"], pack["longest_text"])
