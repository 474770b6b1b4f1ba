"""NF4 weights written out in one launch, by Triton; the twin in plain PyTorch is `nf4.write_plainly`.

Products and sums are not contracted, so that the numbers are bitsandbytes' own to the last bit.
"""

import triton
import triton.language as tl
from torch import Tensor

from texlens.kernels.nf4.format import Nf4Weight

_BLOCKS = 64
"""Blocks of a program: 4,096 numbers where a block has 64."""


def write(weight: Nf4Weight, out: Tensor) -> None:
    """Puts the numbers into `out` [N, D], whose rows may lie apart."""
    high, wide = weight.shape
    if out.shape != weight.shape or out.stride(1) != 1:
        raise ValueError(f"a weight of {weight.shape} can't be written into {tuple(out.shape)} strided {out.stride()}")
    blocks, nested = len(weight.scales), weight.nested
    _write[(triton.cdiv(blocks, _BLOCKS),)](
        weight.packed,
        weight.scales,
        weight.values,
        weight.scales if nested is None else nested.values,
        weight.scales if nested is None else nested.scales,
        weight.scales if nested is None else nested.offset,
        out,
        out.stride(0),
        blocks,
        high * wide,
        len(weight.packed),
        WIDE=wide,
        BLOCK=weight.block,
        GROUP=0 if nested is None else nested.group,
        BLOCKS=_BLOCKS,
        enable_fp_fusion=False,
    )


@triton.jit
def _write(
    packed,
    scales,
    values,
    nested_values,
    nested_scales,
    offset,
    out,
    stride,
    blocks,
    count,
    pairs,
    WIDE: tl.constexpr,
    BLOCK: tl.constexpr,
    GROUP: tl.constexpr,
    BLOCKS: tl.constexpr,
):
    block = tl.program_id(0) * BLOCKS + tl.arange(0, BLOCKS)
    there = block < blocks
    if GROUP:
        number = tl.load(scales + block, there, other=0).to(tl.int32)
        coarse = tl.load(nested_scales + block // GROUP, there, other=0.0)
        scale = tl.load(nested_values + number) * coarse + tl.load(offset)
    else:
        scale = tl.load(scales + block, there, other=0.0)
    pair = block[:, None] * (BLOCK // 2) + tl.arange(0, BLOCK // 2)[None, :]
    byte = tl.load(packed + pair, pair < pairs, other=0).to(tl.int32)
    first = tl.load(values + (byte >> 4)) * scale[:, None]
    second = tl.load(values + (byte & 15)) * scale[:, None]
    place = block[:, None] * BLOCK + tl.arange(0, BLOCK)[None, :]
    where = (place // WIDE) * stride + place % WIDE
    tl.store(out + where, tl.interleave(first, second).to(out.dtype.element_ty), place < count)
