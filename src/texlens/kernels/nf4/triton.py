"""NF4 weights dequantized in one launch; the reference is `nf4.reference.dequantize_reference`.

Products and sums are not contracted, so that the values equal those of bitsandbytes to the last bit.
"""

import triton
import triton.language as tl
from torch import Tensor

from texlens.kernels.nf4.format import Nf4Weight

_BLOCKS = 64
"""Blocks of a program: 4,096 values where a block has 64."""


def dequantize(weight: Nf4Weight, out: Tensor) -> None:
    """Writes the values into `out` [N, D], whose rows may be strided."""
    rows, columns = weight.shape
    if out.shape != weight.shape or out.stride(1) != 1:
        raise ValueError(
            f"a weight of {weight.shape} can't be written into {tuple(out.shape)} with strides {out.stride()}"
        )
    blocks, nested = len(weight.scales), weight.nested
    dequantize_kernel[(triton.cdiv(blocks, _BLOCKS),)](
        weight.packed,
        weight.scales,
        weight.values,
        weight.scales if nested is None else nested.values,
        weight.scales if nested is None else nested.scales,
        weight.scales if nested is None else nested.offset,
        out,
        out.stride(0),
        blocks,
        rows * columns,
        len(weight.packed),
        COLUMNS=columns,
        BLOCK=weight.block,
        GROUP=0 if nested is None else nested.group,
        BLOCKS=_BLOCKS,
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
    out,
    stride,
    blocks,
    count,
    pairs,
    COLUMNS: tl.constexpr,
    BLOCK: tl.constexpr,
    GROUP: tl.constexpr,
    BLOCKS: tl.constexpr,
):
    block = tl.program_id(0) * BLOCKS + tl.arange(0, BLOCKS)
    is_block = block < blocks
    if GROUP:
        scale_index = tl.load(scales + block, is_block, other=0).to(tl.int32)
        coarse = tl.load(nested_scales + block // GROUP, is_block, other=0.0)
        scale = tl.load(nested_values + scale_index) * coarse + tl.load(offset)
    else:
        scale = tl.load(scales + block, is_block, other=0.0)
    pair = block[:, None] * (BLOCK // 2) + tl.arange(0, BLOCK // 2)[None, :]
    byte = tl.load(packed + pair, pair < pairs, other=0).to(tl.int32)
    first = tl.load(values + (byte >> 4)) * scale[:, None]
    second = tl.load(values + (byte & 15)) * scale[:, None]
    index = block[:, None] * BLOCK + tl.arange(0, BLOCK)[None, :]
    pointers = (index // COLUMNS) * stride + index % COLUMNS
    tl.store(out + pointers, tl.interleave(first, second).to(out.dtype.element_ty), index < count)
