"""The language models of all families over rows that have a cache: prompts in packs, then step by step.

# T = rows or tokens, D = width, H = query heads, G = key/value heads, W = width of a head, V = vocabulary
# C = positions in the cache, P = pages of a row

Both passes run the same layers; they differ in the attention, which is over the pack's segments for prompts and over
the cache's pages for a step.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from texlens.inference.engine.cache import PAGE_SIZE, PagedCache
from texlens.inference.engine.layers.experts import DenseMlp, Experts, is_mixture
from texlens.inference.engine.layers.hybrid import RowFlow, new_states, row_mixer
from texlens.inference.engine.layers.norms import LayerNorm
from texlens.inference.engine.layers.projection import Projection
from texlens.inference.engine.layers.shared_expert import SharedExpert
from texlens.inference.engine.layers.weights import Scratch
from texlens.inference.engine.recurrent_states import RecurrentStates
from texlens.kernels.attention.api import attend
from texlens.kernels.attention.segments import Segments
from texlens.kernels.decode.backend import DecodeKernels
from texlens.kernels.decode.cpu import attend_segments
from texlens.kernels.decode.lora import Product
from texlens.kernels.decode.reference import HeadShape
from texlens.models.families import family_of_text
from texlens.models.packed.mixers import mixer_groups
from texlens.models.packed.text import frequency_axes


class PromptRows(NamedTuple):
    """A pack of prompts.

    Args:
        token_ids_T, positions_3T: tokens and M-RoPE positions.
        segments: bounds of the prompts.
        at_T: where each token's keys and values go in the cache.
        adapter_T: number of each token's adapter.
        image_rows_I: tokens that stand for images; `features_ID` replaces their embeddings, and each of `deepstack` is
            added to them after one of the first layers.
        last_B: the last token of each prompt.
        slots_B: where delta nets leave their states.
    """

    token_ids: Tensor
    positions: Tensor
    segments: Segments
    at: Tensor
    adapter: Tensor
    image_rows: Tensor
    features: Tensor
    deepstack: Sequence[Tensor]
    last: Tensor
    slots: Tensor | None = None


class StepRows(NamedTuple):
    """The last token of each row, its M-RoPE position (the same on all axes), and the tokens before it in the cache."""

    token_ids: Tensor
    positions: Tensor
    lengths: Tensor
    pages: Tensor
    adapter: Tensor
    slots: Tensor | None = None


class TextDecoder:
    """
    Args:
        model: the stock model (inside of a `PeftModel`: `base_model.model`).
        adapters: PEFT's names, in the order of their numbers; None is the base.
        packs: see `DecodingEngine`.
    """

    def __init__(self, model: Any, adapters: Sequence[str | None], kernels: DecodeKernels, *, packs: bool = False):
        self._text, self._head, self._kernels = model.model.language_model, model.lm_head, kernels
        config = self._text.config
        scratch = Scratch(self._text.embed_tokens.weight.dtype, packs=packs)
        kinds = [hasattr(layer, "linear_attn") for layer in self._text.layers]
        self.layers = [
            _Layer(layer, config, adapters, scratch, kinds[:number].count(kinds[number]))
            for number, layer in enumerate(self._text.layers)
        ]
        self._norm = LayerNorm(self._text.norm, config)
        spectrum = self._text.rotary_emb.inv_freq
        axes = frequency_axes(config.rope_parameters, len(spectrum), family_of_text(config))
        self._axes = axes.to(spectrum.device)

    @property
    def cache_shape(self) -> tuple[int, int, int]:
        """Layers with attention, key/value heads, width of a head."""
        with_attention = [layer.attention for layer in self.layers if layer.attention is not None]
        config = self._text.config
        return len(with_attention), config.num_key_value_heads, with_attention[0].head_dim

    @property
    def has_states(self) -> bool:
        """Whether some layers are delta nets."""
        return any(layer.attention is None for layer in self.layers)

    def new_states(self, slots: int) -> RecurrentStates | None:
        """States of the delta nets for so many rows; None without any."""
        return new_states(self._text.config, slots, self.embedding.dtype, self.embedding.device)

    @property
    def vocabulary(self) -> int:
        """Columns of the logits."""
        return self._head.weight.shape[0]

    @property
    def embedding(self) -> Tensor:
        return self._text.embed_tokens.weight

    def refresh(self) -> None:
        """Reads the adapters again."""
        self._norm.refresh()
        for layer in self.layers:
            layer.refresh()

    @torch.no_grad()
    def prefill(self, rows: PromptRows, cache: PagedCache) -> Tensor:
        """Logits [B, V] after each prompt, whose keys and values are then in the cache."""
        x_TD = self._text.embed_tokens(rows.token_ids)
        x_TD = x_TD.index_copy(0, rows.image_rows, rows.features.to(x_TD.dtype))
        cos_TW, sin_TW = self._rotary(rows.positions.float()[self._axes].T)

        bounds = rows.segments.cu_seqlens.unique().tolist() if x_TD.device.type == "cpu" else None

        def over_segments(query: Tensor, key: Tensor, value: Tensor, number: int) -> Tensor:
            if bounds is not None:
                return attend_segments(query, key, value, bounds, causal=True)
            return attend(query, key, value.contiguous(), rows.segments, causal=True)

        deep = {number: (rows.image_rows, part) for number, part in enumerate(rows.deepstack)}
        flow = RowFlow(cos_TW, sin_TW, rows.at, over_segments, rows.slots, rows.segments)
        x_TD = self._layers(x_TD, rows.adapter, flow, cache, deep, rows.last)
        return self._head(x_TD)

    @torch.no_grad()
    def step(self, rows: StepRows, cache: PagedCache) -> Tensor:
        """Logits [T, V] after each row's last token, whose keys and values are then in the cache."""
        x_TD = self._text.embed_tokens(rows.token_ids)
        cos_TW, sin_TW = self._rotary(rows.positions.float()[:, None])
        page_T = rows.pages.gather(1, (rows.lengths // PAGE_SIZE)[:, None].long())[:, 0]
        at_T = page_T.long() * PAGE_SIZE + rows.lengths % PAGE_SIZE
        lengths_T = rows.lengths + 1

        def over_pages(query: Tensor, key: Tensor, value: Tensor, number: int) -> Tensor:
            keys, values = cache.keys[number], cache.values[number]
            return self._kernels.attend(query, keys, values, rows.pages, lengths_T, PAGE_SIZE)

        flow = RowFlow(cos_TW, sin_TW, at_T, over_pages, rows.slots, None)
        x_TD = self._layers(x_TD, rows.adapter, flow, cache)
        return self._head(x_TD)

    def _layers(
        self,
        x_TD: Tensor,
        adapter_T: Tensor,
        flow: RowFlow,
        cache: PagedCache,
        deepstack: dict[int, tuple[Tensor, Tensor]] | None = None,
        last_B: Tensor | None = None,
    ) -> Tensor:
        """Normed hidden states after the last layer, of the rows `last_B` alone where given."""
        kernels, deepstack = self._kernels, deepstack or {}
        first = self.layers[0].first_norm
        normed_TD = kernels.norm(x_TD, first.weight, first.eps)
        norms = [layer.first_norm for layer in self.layers[1:]] + [self._norm]
        for number, (layer, norm) in enumerate(zip(self.layers, norms, strict=True)):
            product = layer.inputs.product(normed_TD, adapter_T)
            mixed_TN = layer.mixed(product, flow, cache, kernels)
            if last_B is not None and number == len(self.layers) - 1 and number not in deepstack:
                mixed_TN, x_TD, adapter_T = mixed_TN[last_B], x_TD[last_B], adapter_T[last_B]
                last_B = None
            product = layer.out.product(mixed_TN, adapter_T)
            second = layer.second_norm
            x_TD, normed_TD = kernels.add_norm(x_TD, product, second.weight, second.eps)
            product = layer.mlp_product(normed_TD, adapter_T, kernels)
            x_TD, normed_TD = kernels.add_norm(x_TD, product, norm.weight, norm.eps)
            if number in deepstack:
                image_rows_I, added_ID = deepstack[number]
                x_TD = x_TD.index_add(0, image_rows_I, added_ID.to(x_TD.dtype))
                normed_TD = kernels.norm(x_TD, norm.weight, norm.eps)
        return normed_TD if last_B is None else normed_TD[last_B]

    def _rotary(self, positions_TF: Tensor) -> tuple[Tensor, Tensor]:
        """cos, sin [T, W] in float32 of the position that each frequency turns with, [T, frequencies] or [T, 1]."""
        angles = positions_TF * self._text.rotary_emb.inv_freq.float()
        angles = torch.cat([angles, angles], -1)
        scale = self._text.rotary_emb.attention_scaling
        return angles.cos() * scale, angles.sin() * scale


class _Layer:
    """`number` counts the layers of its kind before it: those with attention, or the delta nets."""

    def __init__(self, layer: Any, config: Any, adapters: Sequence[str | None], scratch: Scratch, number: int):
        self.attention, self._number = getattr(layer, "self_attn", None), number
        self.first_norm = LayerNorm(layer.input_layernorm, config)
        self.second_norm = LayerNorm(layer.post_attention_layernorm, config)
        inputs, outputs = mixer_groups(layer)
        self.inputs, self.out = (Projection(group, adapters, scratch) for group in (inputs, outputs))
        self._mixer = row_mixer(layer, config, number)
        self._heads = None if self._mixer else _head_shape(self.attention, config)
        mixture = is_mixture(layer.mlp)
        self.mlp = Experts(layer.mlp, adapters) if mixture else DenseMlp(layer.mlp, adapters, scratch)
        self._shared = SharedExpert(layer.mlp, adapters, scratch) if hasattr(layer.mlp, "shared_expert") else None

    def mixed(self, product: Product, flow: RowFlow, cache: PagedCache, kernels: DecodeKernels) -> Tensor:
        """From the first product to the input of the output product."""
        if self._mixer is not None:
            return self._mixer(product.complete(), flow, cache).flatten(1)
        assert self._heads is not None
        keys, values = cache.keys[self._number], cache.values[self._number]
        parts = kernels.split_heads(product, self._heads, flow.cos, flow.sin, keys, values, flow.at)
        return flow.attention(*parts, self._number).flatten(1)

    def mlp_product(self, normed_TD: Tensor, adapter_T: Tensor, kernels: DecodeKernels) -> Product:
        if isinstance(self.mlp, Experts):
            y_TD = self.mlp(normed_TD, adapter_T)
            return Product(y_TD if self._shared is None else y_TD + self._shared(normed_TD, adapter_T, kernels))
        act_TF = kernels.swiglu(self.mlp.gate_up.product(normed_TD, adapter_T))
        return self.mlp.down.product(act_TF, adapter_T)

    def refresh(self) -> None:
        for part in (self.inputs, self.out, self.mlp, self.first_norm, self.second_norm, self._shared):
            if part is not None:
                part.refresh()


def _head_shape(attention: Any, config: Any) -> HeadShape:
    query_norm, key_norm = getattr(attention, "q_norm", None), getattr(attention, "k_norm", None)
    return HeadShape(
        config.num_attention_heads,
        config.num_key_value_heads,
        attention.head_dim,
        None if query_norm is None else query_norm.weight,
        None if key_norm is None else key_norm.weight,
        1e-6 if query_norm is None else query_norm.variance_epsilon,
    )
