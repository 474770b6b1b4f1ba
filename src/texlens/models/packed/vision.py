"""The vision towers of the four families over the patches of a whole pack: no loop over images, no synchronisation.

# P = patches, C = numbers of a patch, D = width, V = merged patches

The same numbers as the stock tower's, on its own modules; positions and bounds come with the pack.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from texlens.data.geometry import ImageGeometry
from texlens.kernels.attention import Segments, attend, segments
from texlens.kernels.fused import rotate

PIXEL = 255.0


class PackedVision:
    """A stock tower, run over packs.

    Args:
        visual: the tower (`model.visual`), adapted or not; frozen towers run without a graph.
        mean, std: of the normalisation, each of three channels.
        compiled: makes of a block's two halves few kernels; `torch.compile`, or nothing.
    """

    def __init__(self, visual: Any, geometry: ImageGeometry, *, compiled: Callable = lambda body: body):
        self.visual, self.geometry = visual, geometry
        self.trained = any(parameter.requires_grad for parameter in visual.parameters())
        self.full = getattr(visual.config, "fullatt_block_indexes", None)
        self.taps = list(getattr(visual.config, "deepstack_visual_indexes", None) or ())
        self._before, self._after = compiled(_before_attention), compiled(_after_attention)
        self._middle, self._last = compiled(_middle), compiled(_last)
        self._spectrum = visual.rotary_pos_emb.inv_freq
        device = visual.patch_embed.proj.weight.device
        self._mean, self._std = (
            torch.tensor(values, device=device)[:, None] for values in (geometry.mean, geometry.std)
        )

    def __call__(self, pack: dict) -> tuple[Tensor, list[Tensor]]:
        """Merged features [V, D of the language model], and those for its first layers (Qwen3-VL's deepstack)."""
        with torch.set_grad_enabled(self.trained and torch.is_grad_enabled()):
            return self._features(pack)

    def _features(self, pack: dict) -> tuple[Tensor, list[Tensor]]:
        visual = self.visual
        x = self._embed(pack["patches"])
        if "table_index" in pack:
            table = visual.pos_embed(pack["table_index"]) * pack["table_weight"][..., None]
            x = x + table.sum(1).to(x.dtype)
        cos, sin = self._rotary(pack["cells"])
        whole = segments(pack["image_ends"], pack["longest_image"])
        windows = segments(pack["window_ends"], pack["longest_window"]) if "window_ends" in pack else whole
        deep = []
        for number, block in enumerate(visual.blocks):
            where = whole if self.full is None or number in self.full else windows
            x = self._block(block, x, cos, sin, where)
            if number in self.taps:
                deep.append(visual.deepstack_merger_list[self.taps.index(number)](x))
        return visual.merger(x), deep

    def _embed(self, patches: Tensor) -> Tensor:
        """Patches of one frame, uint8 [P, C]: normalised, and embedded by the weights of all frames summed."""
        projection = self.visual.patch_embed.proj
        weight = projection.weight
        pixels = patches.unflatten(1, (3, -1)).to(torch.float32) / PIXEL
        mean, std = self._mean.to(pixels.device), self._std.to(pixels.device)
        normal = ((pixels - mean) / std).flatten(1).to(weight.dtype)
        return functional.linear(normal, weight.float().sum(2).flatten(1).to(weight.dtype), projection.bias)

    def _rotary(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """cos, sin [P, width of a head]: the first half of a head's pairs by row, the second by column."""
        angles = cells.float()[..., None] * self._spectrum.to(cells.device, torch.float32)
        angles = torch.cat([angles[0], angles[1]], -1)
        angles = torch.cat([angles, angles], -1)
        return angles.cos(), angles.sin()

    def _block(self, block, x: Tensor, cos: Tensor, sin: Tensor, where: Segments) -> Tensor:
        query, key, value = self._before(block, x, cos, sin)
        mixed = attend(query, key, value, where, causal=False)
        if not self._activates_in_product(block, x):
            return self._after(block, x, mixed)
        x, normed = self._middle(block, x, mixed)
        wide = block.mlp.linear_fc1
        act = torch._addmm_activation(wide.bias, normed, wide.weight.T, use_gelu=True)
        return self._last(block, x, act)

    def _activates_in_product(self, block, x: Tensor) -> bool:
        """Whether the MLP's first product can apply the activation itself: cuBLAS knows the tanh form of GELU."""
        first = getattr(block.mlp, "linear_fc1", None)
        kind = getattr(self.visual.config, "hidden_act", None)
        return x.is_cuda and not self.trained and kind == "gelu_pytorch_tanh" and type(first) is nn.Linear


def _before_attention(block, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    attention = block.attn
    query, key, value = attention.qkv(block.norm1(x)).unflatten(-1, (3, attention.num_heads, -1)).unbind(1)
    return rotate(query, cos, sin), rotate(key, cos, sin), value


def _middle(block, x: Tensor, mixed: Tensor) -> tuple[Tensor, Tensor]:
    x = x + block.attn.proj(mixed.flatten(1))
    return x, block.norm2(x)


def _last(block, x: Tensor, act: Tensor) -> Tensor:
    return x + block.mlp.linear_fc2(act)


def _after_attention(block, x: Tensor, mixed: Tensor) -> Tensor:
    x, normed = _middle(block, x, mixed)
    return x + block.mlp(normed)
