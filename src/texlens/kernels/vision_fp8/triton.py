"""The passes between a vision block's products in float8, as Triton kernels that hold a row; the twins are in `tower`.

# P = patches, D = width
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from texlens.kernels.fp8.format import CODE
from texlens.kernels.fp8.triton import LARGEST, TINY, code


def norm_codes(
    x: Tensor, added: Tensor | None, weight: Tensor, bias: Tensor | None, eps: float
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """`tower.norm_codes`; the sum is written over `added`."""
    patches, width = x.shape
    codes, scale = _room(x)
    total = x if added is None else added
    _norm_codes[(patches,)](
        x, total, weight, weight if bias is None else bias, codes, scale, width, eps,
        ADD=added is not None, CENTERED=bias is not None, **_shape(width),
    )  # fmt: skip
    return total, (codes, scale)


def gelu_codes(x: Tensor, gelu: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """`tower.gelu_codes`."""
    patches, width = x.shape
    codes, scale = _room(x)
    _gelu_codes[(patches,)](x, codes, scale, width, *gelu, **_shape(width))
    return codes, scale


def _room(x: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x, dtype=CODE), torch.empty(len(x), 1, dtype=torch.float32, device=x.device)


def _shape(width: int) -> dict[str, int]:
    block = triton.next_power_of_2(width)
    return {"BLOCK": block, "num_warps": min(8, max(2, block // 512))}


@triton.jit
def _norm_codes(
    x, added, weight, bias, codes, scale, width, eps,
    ADD: tl.constexpr, CENTERED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * width
    place = tl.arange(0, BLOCK)
    inside = place < width
    values = tl.load(x + row + place, inside, other=0.0)
    if ADD:
        other = tl.load(added + row + place, inside, other=0.0)
        values = (values.to(tl.float32) + other.to(tl.float32)).to(values.dtype)
        tl.store(added + row + place, values, inside)
    wide = values.to(tl.float32)
    if CENTERED:
        wide = tl.where(inside, wide - tl.sum(wide) / width, 0.0)
    normed = wide * tl.rsqrt(tl.sum(wide * wide) / width + eps)
    normed *= tl.load(weight + place, inside, other=0.0).to(tl.float32)
    if CENTERED:
        normed += tl.load(bias + place, inside, other=0.0).to(tl.float32)
    _store_codes(normed, codes, scale, row, place, inside)


@triton.jit
def _gelu_codes(x, codes, scale, width, linear, cubic, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * width
    place = tl.arange(0, BLOCK)
    inside = place < width
    wide = tl.load(x + row + place, inside, other=0.0).to(tl.float32)
    _store_codes(wide * tl.sigmoid(wide * (linear + cubic * wide * wide)), codes, scale, row, place, inside)


@triton.jit
def _store_codes(values, codes, scale, row, place, inside):
    factor = tl.maximum(tl.max(tl.abs(values)) / LARGEST, TINY)
    factor += tl.sum(values * 0.0)  # maxima and bounds pass over what is no number, and this doesn't
    tl.store(scale + tl.program_id(0), factor)
    tl.store(codes + row + place, code(values / factor), inside)
