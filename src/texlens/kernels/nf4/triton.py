"""NF4 weights dequantized in one launch; the references are `dequantize_reference` and `dequantize_experts_reference`.

Each of stacked experts is a weight. Products and sums are not contracted, so that the values equal those of
bitsandbytes to the last bit.
"""

import triton
import triton.language as tl
from torch import Tensor

from texlens.kernels.nf4.format import Nf4Weight

_BLOCKS = 64
"""Blocks of a program: 4,096 values where a block has 64."""


def dequantize(weight: Nf4Weight, out: Tensor) -> None:
    """Writes the values into `out` [N, D], whose rows may be strided."""
    if out.shape != weight.shape or out.stride(1) != 1:
        raise ValueError(
            f"a weight of {weight.shape} can't be written into {tuple(out.shape)} with strides {out.stride()}"
        )
    _launch(weight, out[None], None)


def dequantize_experts(weight: Nf4Weight, out: Tensor, experts: Tensor | None = None) -> None:
    """Writes a stack, or the `experts` [X] of it, into `out` [X, N, D], whose experts and rows may be strided."""
    count, height, width = weight.shape
    slots = count if experts is None else len(experts)
    if out.shape != (slots, height, width) or out.stride(2) != 1 or height * width % weight.block:
        raise ValueError(
            f"{slots} experts of {weight.shape} can't be written into {tuple(out.shape)} with strides {out.stride()}"
        )
    _launch(weight, out, experts)


def _launch(weight: Nf4Weight, out: Tensor, experts: Tensor | None) -> None:
    slots, height, width = out.shape
    nested = weight.nested
    count = height * width  # of one expert; blocks and bytes of a weight alone may be filled in part
    blocks = triton.cdiv(count, weight.block)
    dequantize_kernel[(triton.cdiv(blocks, _BLOCKS), slots)](
        weight.packed,
        weight.scales,
        weight.values,
        weight.scales if nested is None else nested.values,
        weight.scales if nested is None else nested.scales,
        weight.scales if nested is None else nested.offset,
        weight.scales if experts is None else experts,
        out,
        out.stride(0),
        out.stride(1),
        blocks,
        count,
        triton.cdiv(count, 2),
        COLUMNS=width,
        BLOCK=weight.block,
        GROUP=0 if nested is None else nested.group,
        BLOCKS=_BLOCKS,
        CHOSEN=experts is not None,
        enable_fp_fusion=False,
    )


@triton.jit
def dequantize_kernel(
    packed,
    scales,
    values,
    nested_values,
    nested_scales,
    offset,
    experts,
    out,
    expert_stride,
    stride,
    blocks,
    count,
    pairs,
    COLUMNS: tl.constexpr,
    BLOCK: tl.constexpr,
    GROUP: tl.constexpr,
    BLOCKS: tl.constexpr,
    CHOSEN: tl.constexpr,
):
    slot = tl.program_id(1).to(tl.int64)
    expert = tl.load(experts + slot).to(tl.int64) if CHOSEN else slot
    packed += expert * pairs
    out += slot * expert_stride
    block = tl.program_id(0) * BLOCKS + tl.arange(0, BLOCKS)
    is_block = block < blocks
    scale_block = expert * blocks + block
    if GROUP:
        scale_index = tl.load(scales + scale_block, is_block, other=0).to(tl.int32)
        coarse = tl.load(nested_scales + scale_block // GROUP, is_block, other=0.0)
        scale = tl.load(nested_values + scale_index) * coarse + tl.load(offset)
    else:
        scale = tl.load(scales + scale_block, is_block, other=0.0)
    pair = block[:, None] * (BLOCK // 2) + tl.arange(0, BLOCK // 2)[None, :]
    byte = tl.load(packed + pair, pair < pairs, other=0).to(tl.int32)
    first = tl.load(values + (byte >> 4)) * scale[:, None]
    second = tl.load(values + (byte & 15)) * scale[:, None]
    index = block[:, None] * BLOCK + tl.arange(0, BLOCK)[None, :]
    pointers = (index // COLUMNS) * stride + index % COLUMNS
    tl.store(out + pointers, tl.interleave(first, second).to(out.dtype.element_ty), index < count)
