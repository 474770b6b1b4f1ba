"""The vision tower as one function of an image's pixels, for torch's ONNX exporter.

The towers' own blocks run over one image; what depends on its size is computed from the shape of the input, so that the
graph needs no other inputs.

# H, W = pixels, P = patches, C = values of a patch, V = image tokens, D = width of the language model
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from texlens.data.geometry import ImageGeometry
from texlens.kernels.decoder_layer.reference import rotate
from texlens.models.families import Family

PIXEL = 255.0


class OnnxImageEncoder(nn.Module):
    """Features of one image.

    Args:
        visual: the tower (`model.visual`), float32, in evaluation mode.
    """

    def __init__(self, visual: Any, family: Family, geometry: ImageGeometry):
        super().__init__()
        self.visual = visual
        self.patch, self.merge = geometry.patch_size, geometry.merge_size
        self.deepstack_blocks = family.vision.deepstack_blocks(visual.config)
        self.table_side = family.vision.position_table_side(visual.config)
        weight = visual.patch_embed.proj.weight
        self.patch_weight = nn.Parameter(weight.detach().sum(2).flatten(1), requires_grad=False)
        self.register_buffer("mean", torch.tensor(geometry.mean), persistent=False)
        self.register_buffer("std", torch.tensor(geometry.std), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Features [1 + n, V, D]: the image tokens, and what is added to them after each of the first n layers.

        Args:
            image: uint8 [H, W, 3], both sides multiples of patch x merge.
        """
        rows, columns = image.shape[0] // self.patch, image.shape[1] // self.patch
        x = self._embed(image)
        cells_2P = self._in_merge_order(_cells(rows, columns))
        if self.table_side is not None:
            x = x + self._positions(self.table_side, rows, columns)
        cos, sin = self._rotary(cells_2P)
        deepstack = []
        for number, block in enumerate(self.visual.blocks):
            x = _block(block, x, cos, sin)
            if number in self.deepstack_blocks:
                merger = self.visual.deepstack_merger_list[self.deepstack_blocks.index(number)]
                deepstack.append(merger(x))
        return torch.stack([self.visual.merger(x), *deepstack])

    def _embed(self, image: Tensor) -> Tensor:
        """Embedded patches [P, width], in the order in which the tower merges them; both frames are the same image."""
        patch, merge = self.patch, self.merge
        pixels = (image.to(torch.float32) / PIXEL - self.mean) / self.std
        blocks = pixels.reshape(
            image.shape[0] // (patch * merge), merge, patch, image.shape[1] // (patch * merge), merge, patch, 3
        )
        patches_PC = blocks.permute(0, 3, 1, 4, 6, 2, 5).reshape(-1, 3 * patch * patch)
        return functional.linear(patches_PC, self.patch_weight, self.visual.patch_embed.proj.bias)

    def _in_merge_order(self, grid: Tensor) -> Tensor:
        """[N, rows, columns] as [N, P]."""
        merge = self.merge
        rows, columns = grid.shape[1] // merge, grid.shape[2] // merge
        return grid.reshape(-1, rows, merge, columns, merge).permute(0, 1, 3, 2, 4).reshape(grid.shape[0], -1)

    def _rotary(self, cells_2P: Tensor) -> tuple[Tensor, Tensor]:
        """cos, sin [P, width of a head]: the first half of the pairs turns with the row, the second with the column."""
        angles = cells_2P.to(torch.float32)[..., None] * self.visual.rotary_pos_emb.inv_freq.float()
        angles = torch.cat([angles[0], angles[1]], -1)
        angles = torch.cat([angles, angles], -1)
        return angles.cos(), angles.sin()

    def _positions(self, side: int, rows: int, columns: int) -> Tensor:
        """Learned positions [P, width]: bilinear in a square table whose corners are those of the image."""
        low_r, high_r, down = _between(rows, side)
        low_c, high_c, right = _between(columns, side)
        corners = [
            (low_r, low_c, (1 - down)[:, None] * (1 - right)),
            (low_r, high_c, (1 - down)[:, None] * right),
            (high_r, low_c, down[:, None] * (1 - right)),
            (high_r, high_c, down[:, None] * right),
        ]
        index = torch.stack([row[:, None] * side + column for row, column, _ in corners])
        weight = torch.stack([part for _, _, part in corners])
        index_4P, weight_4P = self._in_merge_order(index), self._in_merge_order(weight)
        return (self.visual.pos_embed(index_4P) * weight_4P[..., None]).sum(0)


def _cells(rows: int, columns: int) -> Tensor:
    """Row and column [2, rows, columns] of each patch."""
    return torch.stack(
        [
            torch.arange(rows)[:, None].expand(rows, columns),
            torch.arange(columns)[None].expand(rows, columns),
        ]
    )


def _between(count: int, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """For `count` points from 0 to side - 1: the entries on both sides, and the weight of the second.

    The points are `torch.linspace`'s to the bit. They are computed with tensors, because the exporter has no division
    of a scalar by a size.
    """
    index = torch.arange(count, dtype=torch.float32)
    last = index[-1:]
    step = (side - 1) / last
    point = torch.where(index < (last + 1) / 2, index * step, (side - 1) - (last - index) * step)
    low = point.to(torch.int64)
    return low, (low + 1).clamp(max=side - 1), point - low


def _block(block: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    attention = block.attn
    query, key, value = attention.qkv(block.norm1(x)).unflatten(-1, (3, attention.num_heads, -1)).unbind(1)
    query, key, value = (part.transpose(0, 1) for part in (rotate(query, cos, sin), rotate(key, cos, sin), value))
    scores = query @ key.transpose(1, 2) * query.shape[-1] ** -0.5
    attended = (scores.softmax(-1) @ value).transpose(0, 1).flatten(1)
    x = x + attention.proj(attended)
    return x + block.mlp(block.norm2(x))
