"""A frozen vision tower on a CPU: packed products, pairs of queries and keys turned as complex numbers, image by image.

# P = patches, D = width, H = heads, W = width of a head, V = merged patches
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from texlens.kernels.cpu_linear.linear import CpuLinear, product_dtype
from texlens.kernels.decode.cpu import attend_segments


class CpuTower:
    """Blocks and mergers of a tower like Qwen3-VL's; weights are copied."""

    def __init__(self, visual: Any):
        dtype = product_dtype()
        self._blocks = [CpuVisionBlock(block, dtype) for block in visual.blocks]
        self._merger = CpuMerger(visual.merger, dtype)
        self._deepstack = [CpuMerger(merger, dtype) for merger in visual.deepstack_merger_list]

    def __call__(
        self, x_PD: Tensor, cos_PW: Tensor, sin_PW: Tensor, image_ends: Tensor, deepstack_blocks: Sequence[int]
    ) -> tuple[Tensor, list[Tensor]]:
        """See `PackedVision.__call__`.

        Args:
            x_PD: float32; overwritten.
        """
        turns_PW, bounds, deepstack = turns_of(cos_PW, sin_PW), image_ends.unique().tolist(), []
        for number, block in enumerate(self._blocks):
            block(x_PD, turns_PW, bounds)
            if number in deepstack_blocks:
                deepstack.append(self._deepstack[deepstack_blocks.index(number)](x_PD))
        return self._merger(x_PD), deepstack


class CpuMerger:
    """Four patches as one feature."""

    def __init__(self, merger: Any, dtype: torch.dtype):
        self._norm, self._activation = merger.norm, merger.act_fn
        self._norm_last = merger.use_postshuffle_norm
        self._width = merger.linear_fc1.in_features
        self._first = CpuLinear(merger.linear_fc1.weight, merger.linear_fc1.bias, dtype=dtype)
        self._second = CpuLinear(merger.linear_fc2.weight, merger.linear_fc2.bias, dtype=dtype)

    def __call__(self, x_PD: Tensor) -> Tensor:
        """[V, D of the language model], float32."""
        x_VN = x_PD.view(-1, self._width)
        normed = self._norm(x_VN) if self._norm_last else self._norm(x_PD).view(-1, self._width)
        return self._second(self._activation(self._first(normed))).float()


class CpuVisionBlock:
    """
    Args:
        block: with layer norms and an MLP with a GELU, as Qwen3-VL's.
        dtype: of the products' factors; sums, norms and angles are in float32.
    """

    def __init__(self, block: Any, dtype: torch.dtype):
        attention, mlp = block.attn, block.mlp
        self._norms = block.norm1, block.norm2
        self._heads = attention.num_heads
        self._qkv = CpuLinear(*_paired(attention.qkv, self._heads), dtype=dtype)
        self._out = CpuLinear(attention.proj.weight, attention.proj.bias, dtype=dtype)
        self._first = CpuLinear(mlp.linear_fc1.weight, mlp.linear_fc1.bias, dtype=dtype, gelu=True)
        self._second = CpuLinear(mlp.linear_fc2.weight, mlp.linear_fc2.bias, dtype=dtype)

    def __call__(self, x_PD: Tensor, turns_PW: Tensor, bounds: list[int]) -> None:
        """Adds what the block does to the residual stream.

        Args:
            x_PD: float32.
            turns_PW: complex [P, 1, W / 2], by which each pair of a head is multiplied.
            bounds: where images begin, and the end.
        """
        first, second = self._norms
        qkv_PN = self._qkv(functional.layer_norm(x_PD, first.normalized_shape, first.weight, first.bias, first.eps))
        x_PD += self._out(self._attended(qkv_PN, turns_PW, bounds))
        normed = functional.layer_norm(x_PD, second.normalized_shape, second.weight, second.bias, second.eps)
        x_PD += self._second(self._first(normed))

    def _attended(self, qkv_PN: Tensor, turns_PW: Tensor, bounds: list[int]) -> Tensor:
        patches, width = len(qkv_PN), qkv_PN.shape[1] // 3
        both = qkv_PN[:, : 2 * width].float().view(patches, 2 * self._heads, -1, 2)
        torch.view_as_complex(both).mul_(turns_PW)
        query, key = both.view(patches, 2, self._heads, -1).to(qkv_PN.dtype).unbind(1)
        value = qkv_PN[:, 2 * width :].view(patches, self._heads, -1)
        return attend_segments(query, key, value, bounds, causal=False, scale=1.0).flatten(1)


def turns_of(cos_PW: Tensor, sin_PW: Tensor) -> Tensor:
    """Angles as complex numbers [P, 1, W / 2]; both halves of a head turn alike."""
    half = cos_PW.shape[1] // 2
    return torch.complex(cos_PW[:, :half].contiguous(), sin_PW[:, :half].contiguous())[:, None]


def can_pack(visual: Any) -> bool:
    """Whether the tower is one that `CpuTower` computes: in float32 on a CPU, of Qwen3-VL's kind, without adapters."""
    weight = visual.patch_embed.proj.weight
    mergers = [visual.merger, *getattr(visual, "deepstack_merger_list", ())]
    if weight.device.type != "cpu" or weight.dtype != torch.float32 or not hasattr(visual.merger, "linear_fc1"):
        return False
    mlps = [block.mlp for block in visual.blocks]
    if not all(hasattr(mlp, "linear_fc1") for mlp in mlps):
        return False
    layers = [layer for block in visual.blocks for layer in (block.attn.qkv, block.attn.proj)]
    layers += [layer for part in (*mlps, *mergers) for layer in (part.linear_fc1, part.linear_fc2)]
    norms = [norm for block in visual.blocks for norm in (block.norm1, block.norm2)]
    return (
        all(type(layer) is nn.Linear and layer.bias is not None for layer in layers)
        and all(type(norm) is nn.LayerNorm for norm in norms)
        and visual.config.hidden_act == "gelu_pytorch_tanh"
        and hasattr(visual, "deepstack_merger_list")
    )


def _paired(layer: nn.Linear, heads: int) -> tuple[Tensor, Tensor]:
    """Weight and bias of a q/k/v product with the halves of each query and key interleaved, so that what turns together
    is side by side, and queries divided by the square root of a head's width."""
    width = layer.out_features // 3
    head = width // heads
    order = torch.arange(head).view(2, -1).T.flatten()
    rows = (torch.arange(2 * heads)[:, None] * head + order).flatten()
    rows = torch.cat([rows, torch.arange(2 * width, 3 * width)])
    weight, bias = layer.weight.detach()[rows].float(), layer.bias.detach()[rows].float()
    weight[:width] *= head**-0.5
    bias[:width] *= head**-0.5
    return weight, bias
