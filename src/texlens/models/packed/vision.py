"""The vision towers of the four families over the patches of a whole pack: no loop over images, no synchronization.

The results equal those of the stock tower, on its own modules; positions and bounds come with the pack.

# P = patches, C = values of a patch, D = width, V = merged patches
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from texlens.data.geometry import ImageGeometry
from texlens.kernels.attention.api import attend
from texlens.kernels.attention.segments import Segments, make_segments
from texlens.kernels.decoder_layer.reference import rotate
from texlens.models.families import VisionAttributes
from texlens.models.fp8 import Fp8Linear
from texlens.models.packed.fp8 import before_attention, fp8_gelu, holds_fp8, mlp_in_fp8

PIXEL = 255.0


class PackedVision:
    """A stock tower, run over packs.

    Args:
        visual: the tower (`model.visual`), adapted or not; frozen towers run without a graph.
        attributes: the family's names for what only some towers have.
        mean, std: of the normalization, each of three channels.
        compiled: compiles the two halves of a block, for instance `torch.compile`. Halves in float8 have their own
            kernels.
    """

    def __init__(
        self,
        visual: Any,
        geometry: ImageGeometry,
        attributes: VisionAttributes,
        *,
        compiled: Callable = lambda body: body,
    ):
        self.visual, self.geometry = visual, geometry
        self.is_trained = any(parameter.requires_grad for parameter in visual.parameters())
        self.full_attention_blocks = attributes.full_attention_blocks(visual.config)
        self.deepstack_blocks = attributes.deepstack_blocks(visual.config)
        self._before, self._after = compiled(_before_attention), compiled(_after_attention)
        self._attention_residual, self._mlp = compiled(_attention_residual), compiled(_mlp)
        self._inverse_frequencies = visual.rotary_pos_emb.inv_freq
        device = visual.patch_embed.proj.weight.device
        self._mean, self._std = (
            torch.tensor(values, device=device)[:, None] for values in (geometry.mean, geometry.std)
        )

    def __call__(self, pack: dict) -> tuple[Tensor, list[Tensor]]:
        """Merged features [V, D of the language model], and those for its first layers (Qwen3-VL's deepstack)."""
        with torch.set_grad_enabled(self.is_trained and torch.is_grad_enabled()):
            return self._features(pack)

    def _features(self, pack: dict) -> tuple[Tensor, list[Tensor]]:
        visual = self.visual
        x = self._embed(pack["patches"])
        if "table_index" in pack:
            table = visual.pos_embed(pack["table_index"]) * pack["table_weight"][..., None]
            x = x + table.sum(1).to(x.dtype)
        cos, sin = self._rotary(pack["cells"])
        images = make_segments(pack["image_ends"], pack["longest_image"])
        windows = make_segments(pack["window_ends"], pack["longest_window"]) if "window_ends" in pack else images
        deepstack, residual = [], None
        for number, block in enumerate(visual.blocks):
            block_segments = (
                images if self.full_attention_blocks is None or number in self.full_attention_blocks else windows
            )
            x, residual = self._block(block, x, residual, cos, sin, block_segments)
            if number in self.deepstack_blocks:
                x, residual = x + residual, None
                deepstack.append(visual.deepstack_merger_list[self.deepstack_blocks.index(number)](x))
        return visual.merger(x if residual is None else x + residual), deepstack

    def _embed(self, patches: Tensor) -> Tensor:
        """Patches of one frame, uint8 [P, C]: normalized, and embedded by the weights of all frames summed."""
        projection = self.visual.patch_embed.proj
        weight = projection.weight
        pixels = patches.unflatten(1, (3, -1)).to(torch.float32) / PIXEL
        mean, std = self._mean.to(pixels.device), self._std.to(pixels.device)
        normalized = ((pixels - mean) / std).flatten(1).to(weight.dtype)
        return functional.linear(normalized, weight.float().sum(2).flatten(1).to(weight.dtype), projection.bias)

    def _rotary(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """cos, sin [P, width of a head]: the first half of a head's pairs by row, the second by column."""
        angles = cells.float()[..., None] * self._inverse_frequencies.to(cells.device, torch.float32)
        angles = torch.cat([angles[0], angles[1]], -1)
        angles = torch.cat([angles, angles], -1)
        return angles.cos(), angles.sin()

    def _block(
        self, block, x: Tensor, residual: Tensor | None, cos: Tensor, sin: Tensor, block_segments: Segments
    ) -> tuple[Tensor, Tensor]:
        """The residual stream and the output of the block's MLP, from those of the block before: the next block starts
        with their sum."""
        if holds_fp8(block.attn.qkv):
            return self._block_in_fp8(block, x, residual, cos, sin, block_segments)
        x, query, key, value = self._before(block, x, residual, cos, sin)
        attn_out = attend(query, key, value, block_segments, causal=False)
        if not self._activates_in_product(block, x):
            return self._after(block, x, attn_out)
        x, normed = self._attention_residual(block, x, attn_out)
        first = block.mlp.linear_fc1
        activation = torch._addmm_activation(first.bias, normed, first.weight.T, use_gelu=True)
        return x, block.mlp.linear_fc2(activation)

    @torch.no_grad()
    def _block_in_fp8(
        self, block, x: Tensor, residual: Tensor | None, cos: Tensor, sin: Tensor, block_segments: Segments
    ) -> tuple[Tensor, Tensor]:
        """`_block` by kernels that write float8 rows; an MLP that is not in float8 runs as in 16 bits."""
        x, query, key, value = before_attention(block, x, residual, cos, sin)
        attn_out = attend(query, key, value, block_segments, causal=False)
        y = block.attn.proj(attn_out.flatten(1))
        if gelu := fp8_gelu(block.mlp, self.visual.config):
            return mlp_in_fp8(block, x, y, gelu)
        in_16_bits = not any(isinstance(layer, Fp8Linear) for layer in block.mlp.children())
        return self._mlp(block, x, y) if in_16_bits else _mlp(block, x, y)

    def _activates_in_product(self, block, x: Tensor) -> bool:
        """Whether the MLP's first product can apply the activation itself: cuBLAS knows the tanh form of GELU."""
        first = getattr(block.mlp, "linear_fc1", None)
        kind = getattr(self.visual.config, "hidden_act", None)
        return x.is_cuda and not self.is_trained and kind == "gelu_pytorch_tanh" and type(first) is nn.Linear


def _before_attention(
    block, x: Tensor, residual: Tensor | None, cos: Tensor, sin: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x = x if residual is None else x + residual
    attention = block.attn
    query, key, value = attention.qkv(block.norm1(x)).unflatten(-1, (3, attention.num_heads, -1)).unbind(1)
    return x, rotate(query, cos, sin), rotate(key, cos, sin), value


def _attention_residual(block, x: Tensor, attn_out: Tensor) -> tuple[Tensor, Tensor]:
    x = x + block.attn.proj(attn_out.flatten(1))
    return x, block.norm2(x)


def _after_attention(block, x: Tensor, attn_out: Tensor) -> tuple[Tensor, Tensor]:
    return _mlp(block, x, block.attn.proj(attn_out.flatten(1)))


def _mlp(block, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    x = x + y
    return x, block.mlp(block.norm2(x))
