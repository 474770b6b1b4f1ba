"""Decoder layers with a mixer (`mixers`), where they don't run as one function: by the reference, and by modules.

# T = tokens, D = width
"""

from typing import Any

import torch
from torch import Tensor

from texlens.kernels.attention.segments import Segments
from texlens.kernels.decoder_layer.reference import after_attention, product, rms_norm
from texlens.models.packed.mixers import Mixer, mixer_groups
from texlens.models.packed.norms import rms_norm_of
from texlens.models.packed.projections import for_reference, stack


class HybridReferenceLayer:
    """`decoder_layer` with a mixer by its reference; the caller does `full` recomputation."""

    def __init__(self, layer: Any, mixer: Mixer, text_config: Any, recompute: str):
        self.mixer = mixer
        self.first = rms_norm_of(layer.input_layernorm, text_config)
        self.second = rms_norm_of(layer.post_attention_layernorm, text_config)
        self.keep_gate_up = recompute == "none"
        mlp = layer.mlp
        groups = *mixer_groups(layer), (mlp.gate_proj, mlp.up_proj), (mlp.down_proj,)
        self.inputs, self.out, self.gate_up, self.down = map(stack, groups)

    def __call__(self, x: Tensor, cos: Tensor, sin: Tensor, segments: Segments, rows: Tensor | None = None) -> Tensor:
        y, _ = product(rms_norm(x, *self.first), for_reference(self.inputs))
        mixed = self.mixer(y, cos, sin, segments)
        if rows is not None:
            mixed, x = mixed[rows], x[rows]
        products = for_reference(self.out), for_reference(self.gate_up), for_reference(self.down)
        return after_attention(mixed, x, *self.second, *products, self.keep_gate_up)


class HybridModuleLayer:
    """Module by module, with every wrapper and hook of the layer."""

    def __init__(self, layer: Any, mixer: Mixer):
        self.layer, self.mixer = layer, mixer
        self.inputs, (self.output,) = mixer_groups(layer)

    def __call__(self, x: Tensor, cos: Tensor, sin: Tensor, segments: Segments, rows: Tensor | None = None) -> Tensor:
        layer = self.layer
        normed = layer.input_layernorm(x)
        y = torch.cat([project(normed) for project in self.inputs], -1)
        mixed = self.mixer(y, cos, sin, segments)
        if rows is not None:
            mixed, x = mixed[rows], x[rows]
        x = x + self.output(mixed)
        y = layer.mlp(layer.post_attention_layernorm(x)[None])
        return x + (y[0] if isinstance(y, tuple) else y)[0]
