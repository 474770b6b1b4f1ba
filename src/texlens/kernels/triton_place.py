"""Adapters written into their product's border, or coded beside its weight, in a launch or two, as Triton kernels.

Twins: `products.Adapted.place` and `fp8.codes_with_rest`.

# D = width in, N = width out, R = adapter ranks side by side, rounded up
"""

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from texlens.kernels.triton_fp8 import LARGEST, as_coded, code

MOST = 3
"""Adapters of one product that the kernels take; no family has more layers of one input."""


def takes(adapters: Sequence[Any]) -> bool:
    """Whether `place` takes them, and spares launches by it."""
    return 2 <= len(adapters) <= MOST


def place(adapters: Sequence[Any], right: Tensor, below: Tensor) -> None:
    """Writes all of `up`, with its scale, into `right` [N, R] and all of `down` into `below` [R, D]."""
    most = max(max(adapter.up.numel(), adapter.down.numel()) for adapter in adapters)
    _place[(triton.cdiv(most, _PLACED), len(adapters), 2)](
        *_spread(adapters, lambda adapter: (adapter.up.detach().contiguous(), adapter.down.detach().contiguous())),
        *_spread(adapters, lambda one: (float(one.scale), one.rows.start, one.columns.start, *one.up.shape)),
        right, below, right.stride(0), below.stride(0), below.shape[1],
        BLOCK=_PLACED,
    )  # fmt: skip


def _spread(adapters: Sequence[Any], parts: Any) -> list[Any]:
    """The parts of three adapters; the first stands in for those that are not there."""
    whole = [adapters[min(number, len(adapters) - 1)] for number in range(MOST)]
    return [part for adapter in whole for part in parts(adapter)]


def codes_beside(up: Tensor, up_scale: Tensor, up_codes: Tensor, down: Tensor, down_scale: Tensor, down_codes: Tensor):
    """`fp8.codes_with_rest` of up [N, R] and of down [R, D], turned, by the scales of their rows: the two gains [1]."""
    sizes = up.shape[0], down.shape[1]
    programs = triton.cdiv(max(sizes), _CODED)
    largest = torch.empty(2, programs, dtype=torch.float32, device=up.device)
    gains = torch.empty(2, 4, dtype=torch.float32, device=up.device)
    ranks = up.shape[1]
    shape = {"RANKS": triton.next_power_of_2(ranks), "BLOCK": _CODED, "PROGRAMS": triton.next_power_of_2(programs)}
    sides = up, up_scale, up_codes, down, down_scale, down_codes, largest, gains, *sizes, ranks
    sides = *sides, up.stride(0), down.stride(0), up_codes.stride(0), down_codes.stride(0), programs
    _code_beside[(programs, 2)](*sides, WRITE=False, **shape)
    _code_beside[(programs, 2)](*sides, WRITE=True, **shape)
    return gains[0, :1], gains[1, :1]


_PLACED = 2048
_CODED = 64


@triton.jit
def _place(
    up0, down0, up1, down1, up2, down2,
    scale0, row0, left0, rows0, ranks0, scale1, row1, left1, rows1, ranks1, scale2, row2, left2, rows2, ranks2,
    right, below, right_stride, below_stride, width, BLOCK: tl.constexpr,
):  # fmt: skip
    adapter = tl.program_id(1)
    to = right, below, right_stride, below_stride, width
    if adapter == 0:
        _place_one(up0, down0, scale0, row0, left0, rows0, ranks0, to, BLOCK)
    elif adapter == 1:
        _place_one(up1, down1, scale1, row1, left1, rows1, ranks1, to, BLOCK)
    else:
        _place_one(up2, down2, scale2, row2, left2, rows2, ranks2, to, BLOCK)


@triton.jit
def _place_one(up, down, scale, first, left, rows, ranks, to, BLOCK: tl.constexpr):
    right, below, right_stride, below_stride, width = to
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    kind = right.dtype.element_ty
    if tl.program_id(2) == 0:
        values = tl.load(up + place, place < rows * ranks, other=0.0).to(tl.float32) * scale
        at = (first + place // ranks).to(tl.int64) * right_stride + left + place % ranks
        tl.store(right + at, values.to(kind), place < rows * ranks)
    else:
        values = tl.load(down + place, place < ranks * width, other=0.0).to(tl.float32)
        at = (left + place // width).to(tl.int64) * below_stride + place % width
        tl.store(below + at, values.to(kind), place < ranks * width)


@triton.jit
def _code_beside(
    up, up_scale, up_codes, down, down_scale, down_codes, largest, gains, height, width, ranks, up_stride, down_stride,
    up_to, down_to, programs,
    WRITE: tl.constexpr, RANKS: tl.constexpr, BLOCK: tl.constexpr, PROGRAMS: tl.constexpr,
):  # fmt: skip
    if tl.program_id(1) == 0:
        sizes = height, ranks, up_stride, 1, up_to, programs
        _code_side(up, up_scale, up_codes, largest, gains, sizes, WRITE, RANKS, BLOCK, PROGRAMS)
    else:
        sizes = width, ranks, 1, down_stride, down_to, programs
        found, gain = largest + programs, gains + 4
        _code_side(down, down_scale, down_codes, found, gain, sizes, WRITE, RANKS, BLOCK, PROGRAMS)


@triton.jit
def _code_side(
    values, scale, codes, largest, gain, sizes,
    WRITE: tl.constexpr, RANKS: tl.constexpr, BLOCK: tl.constexpr, PROGRAMS: tl.constexpr,
):  # fmt: skip
    """One side's largest number of each block of rows, or, once all are known, its codes."""
    count, ranks, row_stride, rank_stride, to_stride, programs = sizes
    row, rank = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK), tl.arange(0, RANKS)
    there, inside = row < count, (row < count)[:, None] & (rank < ranks)[None]
    at = values + row[:, None].to(tl.int64) * row_stride + rank[None].to(tl.int64) * rank_stride
    exact = tl.load(at, inside, other=0.0).to(tl.float32)
    exact = exact / tl.load(scale + row, there, other=1.0)[:, None]
    if WRITE:
        number = tl.arange(0, PROGRAMS)
        found = tl.load(largest + number, number < programs, other=0.0)
        factor = tl.maximum(tl.max(found) / LARGEST, 1.0) + tl.sum(found * 0.0)
        if tl.program_id(0) == 0:
            tl.store(gain, factor)
        exact = exact / factor
        held = as_coded(exact)
        rounded, rest = code(held), code(as_coded(exact - held))
        to = codes + row[:, None].to(tl.int64) * to_stride + rank[None]
        tl.store(to, rounded, inside)
        tl.store(to + ranks, rest, inside)
        tl.store(to + 2 * ranks, rounded, inside)
    else:
        poison = tl.sum(tl.sum(exact * 0.0, 1))  # a maximum passes over what is no number, and this doesn't
        tl.store(largest + tl.program_id(0), tl.max(tl.max(tl.abs(exact), 1)) + poison)
