"""The language models of the four families over a whole pack: embedding, layers, and where images go in.

# T = tokens, D = width, H = heads, W = width of a head

A layer runs as one function (`kernels.layer`) where its linear layers allow it, else module by module.
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from texlens.kernels.attention.api import Segments, attend, segments
from texlens.kernels.decoder_layer.layer import Layer, decoder_layer
from texlens.kernels.decoder_layer.reference import Heads, after_attention, into_heads, rms_norm, rotate
from texlens.kernels.lora_linear.products import Product
from texlens.models.families import Family, family_of_text
from texlens.models.packed.fp8 import holds_fp8, stack_coded
from texlens.models.packed.nf4 import Scratch, stack_nf4
from texlens.models.packed.projections import for_plain_form, holds_4_bit, stack, why_not

Run = Callable[..., Tensor]
"""(x [T, D], cos, sin, where, rows=None) to the next residual stream, of `rows` alone where given."""
RECOMPUTE = ("none", "mlp", "full")


class PackedText:
    """A stock language model, run over packs.

    Args:
        language_model: the stock module (`model.language_model`), adapted or not.
        recompute: what the backward pass makes again: `none` only what is cheap (norms and the activation), `mlp` the
            gate and up products too, `full` the whole layer.
        fused: False runs every layer module by module, as the twin of the fused form.
        passes: the form in which fused layers run: `triton` or `cpu` by the kernels of that name, `plain` the twin.
    """

    def __init__(self, language_model: Any, *, recompute: str = "none", fused: bool = True, passes: str = "plain"):
        self.model, self.config = language_model, language_model.config
        self.full = recompute == "full"
        self._axes: Tensor | None = None
        make = PlainFusedLayer if passes == "plain" else whole_layers(passes)
        self.unfused: dict[int, str] = {}
        self.layers: list[Run] = []
        for number, layer in enumerate(language_model.layers):
            reason = why_not_fused(layer, passes) if fused else "told so"
            if reason:
                self.unfused[number] = reason
            self.layers.append(PlainLayer(layer) if reason else make(layer, recompute))

    def expire(self) -> None:
        """Has the adapters read anew at the next pack: fused optimizers write to them without a new version."""
        for layer in self.layers:
            if isinstance(layer, WholeLayer):
                layer.expire()

    def embed(self, ids: Tensor) -> Tensor:
        return self.model.embed_tokens(ids)

    def __call__(
        self,
        x: Tensor,
        positions: Tensor,
        where: Segments,
        image_rows: Tensor,
        deep: list[Tensor],
        rows: Tensor | None = None,
    ) -> Tensor:
        """Hidden states [T, D] before the last norm, of `rows` alone if given; `deep` is added to the image tokens
        after the first layers."""
        cos, sin = self.rotary(positions)
        last = len(self.layers) - 1
        for number, layer in enumerate(self.layers):
            wanted = rows if number == last and number >= len(deep) else None
            if self.full and isinstance(layer, PlainLayer | PlainFusedLayer) and torch.is_grad_enabled():
                x = checkpoint(layer, x, cos, sin, where, wanted, use_reentrant=False)
            else:
                x = layer(x, cos, sin, where, wanted)
            if number < len(deep):
                x = x.index_add(0, image_rows, deep[number].to(x.dtype))
        return x if rows is None or last >= len(deep) else x[rows]

    def rotary(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """cos, sin [T, W] in float32 of M-RoPE positions [3, T]; each frequency turns with one of the three."""
        spectrum = self.model.rotary_emb.inv_freq.to(positions.device, torch.float32)
        if self._axes is None or self._axes.device != positions.device:
            axes = frequency_axes(self.config.rope_parameters, len(spectrum), family_of_text(self.config))
            self._axes = axes.to(positions.device)
        angles = positions.float()[self._axes].T * spectrum
        angles = torch.cat([angles, angles], -1)
        scale = self.model.rotary_emb.attention_scaling
        return angles.cos() * scale, angles.sin() * scale


def frequency_axes(rope: dict, count: int, family: Family) -> Tensor:
    """Which position (0 time, 1 row, 2 column) each of `count` frequencies turns with.

    With a contiguous layout each axis has a run of frequencies, with an interleaved one the axes take turns.
    """
    sections = rope.get("mrope_section") or family.rope_sections
    if family.rope_layout == "contiguous":
        return torch.repeat_interleave(torch.arange(3), torch.tensor(sections))
    axes = torch.zeros(count, dtype=torch.long)
    for axis in (1, 2):
        axes[axis : sections[axis] * 3 : 3] = axis
    return axes


def why_not_fused(layer: Any, passes: str) -> str | None:
    """What keeps a decoder layer from this fused form, or None."""
    if not hasattr(layer.mlp, "gate_proj"):
        return "a mixture of experts"
    if getattr(layer.self_attn, "sliding_window", None):
        return "sliding-window attention"
    reasons = (why_not(part) for group in _groups(layer) for part in group)
    return next((reason for reason in reasons if reason), None) or _why_not_quantized(layer, passes)


def _why_not_quantized(layer: Any, passes: str) -> str | None:
    kinds = [{_bits(part) for part in group} for group in _groups(layer)]
    fewest = min(min(kind) for kind in kinds)
    if any(len(kind) > 1 for kind in kinds):
        return f"{fewest}-bit layers beside others with the same input"
    return f"{fewest}-bit layers, for which there is no plain form" if passes == "plain" and fewest < 16 else None


def _bits(layer: nn.Module) -> int:
    return 4 if holds_4_bit(layer) else 8 if holds_fp8(layer) else 16


def _heads(attention: Any, config) -> Heads:
    query_norm, key_norm = getattr(attention, "q_norm", None), getattr(attention, "k_norm", None)
    return Heads(
        config.num_attention_heads,
        config.num_key_value_heads,
        attention.head_dim,
        query_norm.weight if query_norm is not None else None,
        key_norm.weight if key_norm is not None else None,
    )


def whole_layers(passes: str) -> Callable[[Any, str], Run]:
    """Makes fused layers of the kernels named `passes`."""
    kernels, scratch = importlib.import_module(f"texlens.kernels.elementwise.{passes}"), Scratch()

    def make(layer: Any, recompute: str) -> Run:
        attention, first, second = layer.self_attn, layer.input_layernorm, layer.post_attention_layernorm
        parts = Layer(
            *(_product(group, first.weight.dtype, scratch) for group in _groups(layer)),
            heads=_heads(attention, attention.config),
            first_norm=first.weight,
            second_norm=second.weight,
            eps=(first.variance_epsilon, second.variance_epsilon),
            kernels=kernels,
            recompute=recompute,
        )
        return WholeLayer(parts)

    return make


@dataclass(frozen=True)
class WholeLayer:
    """A decoder layer as one function."""

    parts: Layer

    def __call__(self, x: Tensor, cos: Tensor, sin: Tensor, where: Segments, rows: Tensor | None = None) -> Tensor:
        return decoder_layer(self.parts, x, cos, sin, where, rows)

    def expire(self) -> None:
        for product in self.parts.products:
            product.expire()


def _product(layers: Sequence[nn.Module], dtype: torch.dtype, scratch: Scratch) -> Product:
    if holds_fp8(layers[0]):
        return stack_coded(layers)
    return stack_nf4(layers, dtype, scratch) if holds_4_bit(layers[0]) else stack(layers)


def _groups(layer: Any) -> tuple[tuple[nn.Module, ...], ...]:
    """The linear layers of a decoder layer's four products: q/k/v, output, gate/up and down."""
    attention, mlp = layer.self_attn, layer.mlp
    return (
        (attention.q_proj, attention.k_proj, attention.v_proj),
        (attention.o_proj,),
        (mlp.gate_proj, mlp.up_proj),
        (mlp.down_proj,),
    )


class PlainFusedLayer:
    """The twin of `decoder_layer`, around attention by autograd; `full` recomputation is the caller's."""

    def __init__(self, layer: Any, recompute: str):
        self.heads = _heads(layer.self_attn, layer.self_attn.config)
        self.first, self.second = layer.input_layernorm, layer.post_attention_layernorm
        self.keep_wide = recompute == "none"
        self.qkv, self.out, self.gate_up, self.down = map(stack, _groups(layer))

    def __call__(self, x: Tensor, cos: Tensor, sin: Tensor, where: Segments, rows: Tensor | None = None) -> Tensor:
        eps = self.first.variance_epsilon
        query, key, value = into_heads(x, self.first.weight, eps, for_plain_form(self.qkv), self.heads, cos, sin)
        mixed = attend(query, key, value, where, causal=True).flatten(1)
        if rows is not None:
            mixed, x = mixed[rows], x[rows]
        rest = for_plain_form(self.out), for_plain_form(self.gate_up), for_plain_form(self.down)
        return after_attention(mixed, x, self.second.weight, self.second.variance_epsilon, *rest, self.keep_wide)


class PlainLayer:
    """Module by module, so that whatever sits on or in the layer takes part."""

    def __init__(self, layer: Any):
        self.layer = layer
        self.heads = _heads(layer.self_attn, layer.self_attn.config)

    def __call__(self, x: Tensor, cos: Tensor, sin: Tensor, where: Segments, rows: Tensor | None = None) -> Tensor:
        layer, attention, width = self.layer, self.layer.self_attn, self.heads.width
        y = layer.input_layernorm(x)
        projections = (attention.q_proj, attention.k_proj, attention.v_proj)
        query, key, value = (project(y).unflatten(-1, (-1, width)) for project in projections)
        if self.heads.query_norm is not None and self.heads.key_norm is not None:
            query = rms_norm(query, self.heads.query_norm, attention.q_norm.variance_epsilon)
            key = rms_norm(key, self.heads.key_norm, attention.k_norm.variance_epsilon)
        mixed = attend(rotate(query, cos, sin), rotate(key, cos, sin), value, where, causal=True)
        if rows is not None:
            mixed, x = mixed[rows], x[rows]
        x = x + attention.o_proj(mixed.flatten(1))
        y = layer.mlp(layer.post_attention_layernorm(x)[None])
        return x + (y[0] if isinstance(y, tuple) else y)[0]


def text_segments(pack: dict) -> Segments:
    return segments(pack["text_ends"], pack["longest_text"])
