"""The vision towers of all families over the patches of a whole pack: no loop over images, no synchronization.

The results equal those of the stock tower, on its own modules; positions and bounds come with the pack.

# P = patches, C = values of a patch, D = width, V = merged patches
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from texlens.data.geometry import ImageGeometry
from texlens.kernels.attention.api import attend
from texlens.kernels.attention.segments import Segments, make_segments
from texlens.kernels.decoder_layer.reference import rotate
from texlens.kernels.vision_block.layer import VisionBlock, frozen_block, vision_block
from texlens.models.families import VisionAttributes
from texlens.models.packed.fp8 import before_attention, fp8_gelu, holds_fp8, mlp_in_fp8
from texlens.models.packed.projections import LoraOptions
from texlens.models.packed.vision_blocks import FusedMerger, fused_block, fused_merger

PIXEL = 255.0


class PackedVision:
    """A stock tower, run over packs.

    Args:
        visual: the tower (`model.visual`), adapted or not; frozen towers run without a graph.
        geometry: its mean and std are of the normalization, each of three channels.
        attributes: the family's names for what only some towers have.
        backend: of fused blocks: `triton`, `cpu`, or `reference` for blocks module by module.
        options: what the products of the model share.
    """

    def __init__(
        self,
        visual: Any,
        geometry: ImageGeometry,
        attributes: VisionAttributes,
        *,
        backend: str = "reference",
        options: LoraOptions | None = None,
    ):
        self.visual, self.geometry = visual, geometry
        self.is_trained = any(parameter.requires_grad for parameter in visual.parameters())
        self.full_attention_blocks = attributes.full_attention_blocks(visual.config)
        self.deepstack_blocks = attributes.deepstack_blocks(visual.config)
        options = options or LoraOptions()
        self.unfused: dict[int, str] = {}
        self.blocks: list[VisionBlock | None] = []
        for number, block in enumerate(visual.blocks):
            fused = fused_block(block, visual.config, backend, options)
            if isinstance(fused, str):
                self.unfused[number] = fused
            self.blocks.append(None if isinstance(fused, str) else fused)
        deepstack_mergers = getattr(visual, "deepstack_merger_list", ()) if self.deepstack_blocks else ()
        self.deepstack_mergers = [fused_merger(merger, backend, options) for merger in deepstack_mergers]
        self.merger = fused_merger(visual.merger, backend, options)
        self._inverse_frequencies = visual.rotary_pos_emb.inv_freq
        device = visual.patch_embed.proj.weight.device
        self._mean, self._std = (
            torch.tensor(values, device=device)[:, None] for values in (geometry.mean, geometry.std)
        )

    def invalidate(self) -> None:
        """Has the adapters copied again at the next pack."""
        for part in (*self.blocks, *self.deepstack_mergers, self.merger):
            if isinstance(part, VisionBlock | FusedMerger):
                part.invalidate()

    def __call__(self, pack: dict) -> tuple[Tensor, list[Tensor]]:
        """Merged features [V, D of the language model], and those for its first layers (Qwen3-VL's deepstack)."""
        with torch.set_grad_enabled(self.is_trained and torch.is_grad_enabled()):
            return self._features(pack)

    def _features(self, pack: dict) -> tuple[Tensor, list[Tensor]]:
        visual = self.visual
        x = self._embedded(pack)
        cos, sin = self._rotary(pack["cells"])
        images = make_segments(pack["image_ends"], pack["longest_image"])
        windows = make_segments(pack["window_ends"], pack["longest_window"]) if "window_ends" in pack else images
        deepstack, residual = [], None
        for number, _block in enumerate(visual.blocks):
            block_segments = (
                images if self.full_attention_blocks is None or number in self.full_attention_blocks else windows
            )
            x, residual = self._block(number, x, residual, cos, sin, block_segments)
            if number in self.deepstack_blocks:
                x, residual = x if residual is None else x + residual, None
                deepstack.append(self.deepstack_mergers[self.deepstack_blocks.index(number)](x))
        return self.merger(x if residual is None else x + residual), deepstack

    def _embedded(self, pack: dict) -> Tensor:
        """What the first block takes, [P, D]."""
        x = self._embed(pack["patches"])
        if "table_index" in pack:
            table = self.visual.pos_embed(pack["table_index"]) * pack["table_weight"][..., None]
            x = x + table.sum(1).to(x.dtype)
        return x

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
        self, number: int, x: Tensor, residual: Tensor | None, cos: Tensor, sin: Tensor, block_segments: Segments
    ) -> tuple[Tensor, Tensor | None]:
        """The residual stream, and the output of the block's MLP where it is still to be added to it: the next block
        starts with their sum."""
        block, fused = self.visual.blocks[number], self.blocks[number]
        if fused is not None and not torch.is_grad_enabled():
            return frozen_block(fused, x, residual, cos, sin, block_segments)
        if fused is not None:
            return vision_block(fused, x if residual is None else x + residual, cos, sin, block_segments), None
        if holds_fp8(block.attn.qkv):
            return self._block_in_fp8(block, x, residual, cos, sin, block_segments)
        return self._block_by_module(block, x, residual, cos, sin, block_segments)

    def _block_by_module(
        self, block, x: Tensor, residual: Tensor | None, cos: Tensor, sin: Tensor, block_segments: Segments
    ) -> tuple[Tensor, Tensor]:
        x, query, key, value = self._before(block, x, residual, cos, sin)
        attn_out = attend(query, key, value, block_segments, causal=False)
        return _mlp(block, x, block.attn.proj(attn_out.flatten(1)))

    def _before(
        self, block, x: Tensor, residual: Tensor | None, cos: Tensor, sin: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The residual stream, rotated queries and keys, and values [P, H, W]."""
        x = x if residual is None else x + residual
        attention = block.attn
        query, key, value = attention.qkv(block.norm1(x)).unflatten(-1, (3, attention.num_heads, -1)).unbind(1)
        return x, rotate(query, cos, sin), rotate(key, cos, sin), value

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
        return _mlp(block, x, y)


def _mlp(block, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    x = x + y
    return x, block.mlp(block.norm2(x))
