"""The language models of all families over a whole pack: embedding, layers, and where image features go.

A layer runs as one function (`kernels.decoder_layer`) where its linear layers allow it, else module by module.

# T = tokens, D = width, H = heads, W = width of a head
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from texlens.kernels.attention.api import attend
from texlens.kernels.attention.prefixes import Prefixes
from texlens.kernels.attention.segments import Segments, branched_segments, make_segments
from texlens.kernels.decoder_layer.layer import Layer, decoder_layer
from texlens.kernels.decoder_layer.reference import Heads, after_attention, rms_norm, rotate, split_heads_norm_rope
from texlens.kernels.elementwise.backend import BACKENDS
from texlens.kernels.experts.layer import MixtureLayer, mixture_layer
from texlens.kernels.experts.shared import SharedExpertLayer
from texlens.kernels.lora_linear.fused_linear import FusedLinear
from texlens.models.families import Family, family_of_text
from texlens.models.packed.experts import expert_products, shared_expert, unfused_experts_reason
from texlens.models.packed.fp8 import GatheredFp8Linear, holds_fp8, stack_fp8
from texlens.models.packed.gathered import GatheredLinear
from texlens.models.packed.hybrid import HybridModuleLayer, HybridReferenceLayer
from texlens.models.packed.mixers import mixer_groups, mixer_of
from texlens.models.packed.nf4 import GatheredNf4Linear, stack_nf4
from texlens.models.packed.norms import rms_norm_of
from texlens.models.packed.projections import (
    LoraOptions,
    for_reference,
    is_4_bit,
    stack,
    unfused_group_reason,
    unfused_linear_reason,
    with_dora,
)
from texlens.models.packed.weight_buffer import WeightBuffer
from texlens.models.sharding.divided_model import UNDIVIDED, DividedModel

LayerFunction = Callable[..., Tensor]
"""(x [T, D], cos, sin, segments, rows=None) to the next residual stream, of `rows` alone where given."""
RECOMPUTE = ("none", "mlp", "full")


class PackedText:
    """A stock language model, run over packs.

    Args:
        language_model: the stock module (`model.language_model`), adapted or not.
        recompute: what the backward pass recomputes: `none` only what is cheap (norms and the activation), `mlp` the
            gate and up products too, `full` the whole layer.
        fused: False runs every layer module by module, for comparison.
        backend: of the fused layers: `triton`, `cpu` or `reference`.
        divided: how its weights are divided among processes.
    """

    def __init__(
        self,
        language_model: Any,
        *,
        recompute: str = "none",
        fused: bool = True,
        backend: str = "reference",
        divided: DividedModel = UNDIVIDED,
    ):
        self.model, self.config, self.divided = language_model, language_model.config, divided
        self.recompute_full = recompute == "full"
        self._axes: Tensor | None = None
        self.options, self.buffer = LoraOptions(), WeightBuffer()
        make_layer = (
            ReferenceFusedLayer
            if backend == "reference"
            else fused_layer_factory(backend, self.options, self.config, self.buffer, divided)
        )
        self.unfused: dict[int, str] = {}
        self.layers: list[LayerFunction] = []
        for number, layer in enumerate(language_model.layers):
            reason = unfused_reason(layer, backend, divided) if fused else "fusion is turned off"
            if reason:
                self.unfused[number] = reason
            mixer = mixer_of(layer, self.config)
            if reason:
                self.layers.append(ModuleLayer(layer) if mixer is None else HybridModuleLayer(layer, mixer))
            elif mixer is not None and backend == "reference":
                self.layers.append(HybridReferenceLayer(layer, mixer, self.config, recompute))
            else:
                self.layers.append(make_layer(layer, recompute))

    def invalidate(self) -> None:
        """Has the adapters copied again at the next pack: fused optimizers write to them without a new version."""
        for layer in self.layers:
            if isinstance(layer, FusedLayer):
                layer.invalidate()

    @property
    def has_mixers(self) -> bool:
        """Whether some layers have something else than plain attention."""
        return any(isinstance(layer, FusedLayer) and layer.layer.mixer is not None for layer in self.layers)

    def draw_seed(self, device: torch.device) -> None:
        """A new seed for the dropout of this pack, none in evaluation."""
        self.options.seed.value = None
        if self.model.training:
            self.options.seed.draw(device)

    def embed(self, ids: Tensor) -> Tensor:
        return self.model.embed_tokens(ids)

    def __call__(
        self,
        x: Float[Tensor, "T D"],
        positions: Int[Tensor, "3 T"],
        segments: Segments,
        image_rows: Int[Tensor, " V"],
        deepstack: list[Tensor],
        rows: Int[Tensor, " L"] | None = None,
    ) -> Float[Tensor, "rows D"]:
        """Hidden states [T, D] before the last norm, of `rows` alone if given; `deepstack` is added to the image tokens
        after the first layers."""
        self.buffer.forget()
        inputs = x, positions, segments, image_rows, deepstack, rows
        sharded = self.divided.layers
        return self._all_layers(*inputs) if sharded is None else sharded(self._all_layers, *inputs)

    def _all_layers(
        self, x: Tensor, positions: Tensor, segments: Segments, image_rows: Tensor, deepstack: list[Tensor], rows: Any
    ) -> Tensor:
        cos, sin = self.rotary(positions)
        last = len(self.layers) - 1
        for number in range(len(self.layers)):
            layer_rows = rows if number == last and number >= len(deepstack) else None
            run = self._layer_function(number)
            if self.divided.layers is None:
                x = run(x, cos, sin, segments, layer_rows)
            else:
                x = self.divided.layers.layers[number](run, x, cos, sin, segments, layer_rows)
            if number < len(deepstack):
                x = x.index_add(0, image_rows, deepstack[number].to(x.dtype))
        return x if rows is None or last >= len(deepstack) else x[rows]

    def _layer_function(self, number: int) -> LayerFunction:
        """The layer, which recomputes itself where it is fused."""
        layer = self.layers[number]
        if self.recompute_full and not isinstance(layer, FusedLayer) and torch.is_grad_enabled():
            return partial(checkpoint, layer, use_reentrant=False)
        return layer

    def rotary(self, positions: Int[Tensor, "3 T"]) -> tuple[Float[Tensor, "T W"], Float[Tensor, "T W"]]:
        """cos, sin [T, W] in float32 of M-RoPE positions [3, T]; each frequency belongs to one of the three."""
        inverse_frequencies = self.model.rotary_emb.inv_freq.to(positions.device, torch.float32)
        if self._axes is None or self._axes.device != positions.device:
            axes = frequency_axes(self.config.rope_parameters, len(inverse_frequencies), family_of_text(self.config))
            self._axes = axes.to(positions.device)
        angles = positions.float()[self._axes].T * inverse_frequencies
        angles = torch.cat([angles, angles], -1)
        scale = self.model.rotary_emb.attention_scaling
        return angles.cos() * scale, angles.sin() * scale


def frequency_axes(rope: dict, count: int, family: Family) -> Tensor:
    """The position (0 time, 1 row, 2 column) of each of `count` frequencies.

    With a contiguous layout each axis has a run of frequencies, with an interleaved one the axes take turns.
    """
    sections = rope.get("mrope_section") or family.rope_sections
    if family.rope_layout == "contiguous":
        return torch.repeat_interleave(torch.arange(3), torch.tensor(sections))
    axes = torch.zeros(count, dtype=torch.long)
    for axis in (1, 2):
        axes[axis : sections[axis] * 3 : 3] = axis
    return axes


def unfused_reason(layer: Any, backend: str, divided: DividedModel = UNDIVIDED) -> str | None:
    """Why a decoder layer can't run as one function, or None."""
    if backend == "reference" and divided.layers is not None:
        return "weights that are divided among processes, for which there is no reference form"
    is_dense = hasattr(layer.mlp, "gate_proj")
    if not is_dense and (reason := _unfused_mixture_reason(layer, backend)):
        return reason
    if getattr(getattr(layer, "self_attn", None), "sliding_window", None):
        return "sliding-window attention"
    groups = _groups(layer)
    reasons = itertools.chain(
        (unfused_linear_reason(part) for group in groups for part in group),
        (unfused_group_reason(group, backend) for group in groups),
    )
    return next((reason for reason in reasons if reason), None) or _mixed_bits_reason(layer, backend)


def _unfused_mixture_reason(layer: Any, backend: str) -> str | None:
    if backend == "reference":
        return "a mixture of experts, for which there is no reference form"
    return unfused_experts_reason(layer.mlp) if hasattr(layer.mlp, "experts") else "an MLP of another kind"


def _mixed_bits_reason(layer: Any, backend: str) -> str | None:
    bits = [{_bits(part) for part in group} for group in _groups(layer)]
    lowest = min(min(kind) for kind in bits)
    if any(len(kind) > 1 for kind in bits):
        return f"{lowest}-bit layers next to others with the same input"
    return (
        f"{lowest}-bit layers, for which there is no reference form" if backend == "reference" and lowest < 16 else None
    )


def _bits(layer: nn.Module) -> int:
    return 4 if is_4_bit(layer) else 8 if holds_fp8(layer) else 16


def _heads(attention: Any, config) -> Heads:
    query_norm, key_norm = getattr(attention, "q_norm", None), getattr(attention, "k_norm", None)
    return Heads(
        config.num_attention_heads,
        config.num_key_value_heads,
        attention.head_dim,
        query_norm.weight if query_norm is not None else None,
        key_norm.weight if key_norm is not None else None,
    )


def fused_layer_factory(
    backend: str, options: LoraOptions, config: Any, buffer: WeightBuffer, divided: DividedModel = UNDIVIDED
) -> Callable[[Any, str], LayerFunction]:
    """Makes fused layers with the elementwise operations of a backend."""
    kernels = BACKENDS[backend]
    gathered = divided.layers is not None
    codes = WeightBuffer() if gathered else None

    def make_layer(layer: Any, recompute: str) -> LayerFunction:
        mixer = mixer_of(layer, config)
        norms = layer.input_layernorm, layer.post_attention_layernorm
        first, second = (rms_norm_of(norm, config) for norm in norms)
        saved_by_layer = mixer is None, False, True, False  # q/k/v and gate/up
        products = (
            _product(group, norms[0].weight.dtype, (buffer, codes), options, in_place=is_saved)
            for group, is_saved in zip(_groups(layer), saved_by_layer, strict=False)
        )
        options_of_layer: dict[str, Any] = {
            "heads": None if mixer else _heads(layer.self_attn, config),
            "first_norm": first.weight,
            "second_norm": second.weight,
            "eps": (first.eps, second.eps),
            "mixer": mixer,
            "kernels": kernels,
            "recompute": recompute,
            "seed": options.seed,
        }
        if hasattr(layer.mlp, "gate_proj"):
            return FusedLayer(Layer(*products, **options_of_layer))
        (qkv, out, *of_shared), router = products, layer.mlp.gate
        owners = divided.owners
        gate_up, down = expert_products(layer.mlp, buffer, owners, gathered=gathered and owners is None)
        shared = None
        if of_shared:
            shared = SharedExpertLayer(of_shared[0], of_shared[1], layer.mlp.shared_expert_gate.weight.detach())
        weights = gate_up, down, router.weight.detach()
        mixture = MixtureLayer(qkv, out, *weights, router.top_k, owners=owners, shared=shared, **options_of_layer)
        return FusedLayer(mixture)

    return make_layer


@dataclass(frozen=True)
class FusedLayer:
    """A decoder layer as one function."""

    layer: Layer | MixtureLayer

    def __call__(self, x: Tensor, cos: Tensor, sin: Tensor, segments: Segments, rows: Tensor | None = None) -> Tensor:
        if isinstance(self.layer, MixtureLayer):
            return mixture_layer(self.layer, x, cos, sin, segments, rows)
        return decoder_layer(self.layer, x, cos, sin, segments, rows)

    def invalidate(self) -> None:
        self.layer.invalidate()


def _product(
    layers: Sequence[nn.Module],
    dtype: torch.dtype,
    buffers: tuple[WeightBuffer, WeightBuffer | None],
    options: LoraOptions,
    *,
    in_place: bool,
) -> FusedLinear:
    """
    Args:
        buffers: for weights; and where weights are divided among processes, for 8-bit codes.
        in_place: see `DoraLinear`.
    """
    buffer, codes = buffers
    if codes is not None:
        return _gathered_product(layers, dtype, buffer, codes, options, in_place=in_place)
    if holds_fp8(layers[0]):
        return stack_fp8(layers, options)
    product = stack_nf4(layers, dtype, buffer, options) if is_4_bit(layers[0]) else stack(layers, options)
    return with_dora(product, layers, in_place=in_place)


def _gathered_product(
    layers: Sequence[nn.Module],
    dtype: torch.dtype,
    buffer: WeightBuffer,
    codes: WeightBuffer,
    options: LoraOptions,
    *,
    in_place: bool,
) -> FusedLinear:
    if holds_fp8(layers[0]):
        return GatheredFp8Linear(layers, codes, options)
    in_4_bit = is_4_bit(layers[0])
    product = GatheredNf4Linear(layers, dtype, buffer, options) if in_4_bit else GatheredLinear(layers, buffer, options)
    return with_dora(product, layers, in_place=in_place)


def _groups(layer: Any) -> tuple[tuple[nn.Module, ...], ...]:
    """The linear layers of a decoder layer's products: q/k/v (or a delta net's inputs), output, and gate/up and down,
    of a mixture those of its shared expert if it has one."""
    groups = mixer_groups(layer)
    mlp = layer.mlp if hasattr(layer.mlp, "gate_proj") else shared_expert(layer.mlp)
    return groups if mlp is None else (*groups, (mlp.gate_proj, mlp.up_proj), (mlp.down_proj,))


class ReferenceFusedLayer:
    """`decoder_layer` by its reference; the caller does `full` recomputation."""

    def __init__(self, layer: Any, recompute: str):
        self.heads = _heads(layer.self_attn, layer.self_attn.config)
        self.first, self.second = layer.input_layernorm, layer.post_attention_layernorm
        self.keep_gate_up = recompute == "none"
        self.qkv, self.out, self.gate_up, self.down = map(stack, _groups(layer))

    def __call__(self, x: Tensor, cos: Tensor, sin: Tensor, segments: Segments, rows: Tensor | None = None) -> Tensor:
        eps = self.first.variance_epsilon
        query, key, value = split_heads_norm_rope(
            x, self.first.weight, eps, for_reference(self.qkv), self.heads, cos, sin
        )
        attn_out = attend(query, key, value, segments, causal=True).flatten(1)
        if rows is not None:
            attn_out, x = attn_out[rows], x[rows]
        products = for_reference(self.out), for_reference(self.gate_up), for_reference(self.down)
        return after_attention(
            attn_out, x, self.second.weight, self.second.variance_epsilon, *products, self.keep_gate_up
        )


class ModuleLayer:
    """Module by module, with every wrapper and hook of the layer."""

    def __init__(self, layer: Any):
        self.layer = layer
        self.heads = _heads(layer.self_attn, layer.self_attn.config)

    def __call__(self, x: Tensor, cos: Tensor, sin: Tensor, segments: Segments, rows: Tensor | None = None) -> Tensor:
        layer, attention, width = self.layer, self.layer.self_attn, self.heads.width
        y = layer.input_layernorm(x)
        projections = (attention.q_proj, attention.k_proj, attention.v_proj)
        query, key, value = (project(y).unflatten(-1, (-1, width)) for project in projections)
        if self.heads.query_norm is not None and self.heads.key_norm is not None:
            query = rms_norm(query, self.heads.query_norm, attention.q_norm.variance_epsilon)
            key = rms_norm(key, self.heads.key_norm, attention.k_norm.variance_epsilon)
        attn_out = attend(rotate(query, cos, sin), rotate(key, cos, sin), value, segments, causal=True)
        if rows is not None:
            attn_out, x = attn_out[rows], x[rows]
        x = x + attention.o_proj(attn_out.flatten(1))
        y = layer.mlp(layer.post_attention_layernorm(x)[None])
        return x + (y[0] if isinstance(y, tuple) else y)[0]


def text_segments(pack: dict) -> Segments:
    """The segments of a pack's tokens: its examples, or where some share a prefix, prefixes and branches."""
    if "segment_ends" in pack:
        prefixes = Prefixes(
            pack["segment_ends"],
            pack["prefix_starts"],
            pack["prefix_ends"],
            pack["group_ends"],
            pack["longest_segment"],
            pack["longest_prefix"],
        )
        return branched_segments(prefixes)
    return make_segments(pack["text_ends"], pack["longest_text"])
