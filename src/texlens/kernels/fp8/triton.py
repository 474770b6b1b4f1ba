"""Rows quantized to float8 by one Triton kernel, and adapters coded beside a weight in two launches.

Twins: `fp8.quantize_rows_plainly` and `fp8.codes_with_rest`.

# T = rows, D = width in, N = width out, R = columns beside
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from texlens.kernels.fp8.format import CODE, room_for

LARGEST = tl.constexpr(448.0)
TINY = tl.constexpr(1.1754944e-38)
_COLUMNS = 2048


def quantize_rows(x: Tensor, beside: Tensor | None = None, gain: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """`fp8.quantize_rows`; rows of x may lie apart."""
    tokens, width = x.shape
    ranks = 0 if beside is None else beside.shape[1]
    room = room_for(ranks)
    codes = torch.empty(tokens, width + room, dtype=CODE, device=x.device)
    scale = torch.empty(tokens, 1, dtype=torch.float32, device=x.device)
    block = min(_COLUMNS, triton.next_power_of_2(width))
    thin, factor = (x, scale) if beside is None or gain is None else (beside, gain)
    _quantize[(tokens,)](
        x, thin, factor, codes, scale, width, ranks, x.stride(0), width + room,
        CHUNKS=triton.cdiv(width, block), BLOCK=block, RANKS=triton.next_power_of_2(max(ranks, 1)),
        HAS_BESIDE=beside is not None,
        num_warps=2 if width <= 1.5 * _COLUMNS else 4,
    )  # fmt: skip
    return codes, scale


def codes_beside(up: Tensor, up_scale: Tensor, up_codes: Tensor, down: Tensor, down_scale: Tensor, down_codes: Tensor):
    """`fp8.codes_with_rest` of up [N, R] and of down [R, D], turned, by the scales of their rows: the two gains [1]."""
    sizes = up.shape[0], down.shape[1]
    programs = triton.cdiv(max(sizes), _ROWS)
    largest = torch.empty(2, programs, dtype=torch.float32, device=up.device)
    gains = torch.empty(2, 4, dtype=torch.float32, device=up.device)
    ranks = up.shape[1]
    shape = {"RANKS": triton.next_power_of_2(ranks), "BLOCK": _ROWS, "PROGRAMS": triton.next_power_of_2(programs)}
    sides = up, up_scale, up_codes, down, down_scale, down_codes, largest, gains, *sizes, ranks
    sides = *sides, up.stride(0), down.stride(0), up_codes.stride(0), down_codes.stride(0), programs
    _code_adapters[(programs, 2)](*sides, WRITE=False, **shape)
    _code_adapters[(programs, 2)](*sides, WRITE=True, **shape)
    return gains[0, :1], gains[1, :1]


_ROWS = 64


@triton.jit
def _quantize(
    x, beside, gain, codes, scale, width, ranks, stride, to_stride,
    CHUNKS: tl.constexpr, BLOCK: tl.constexpr, RANKS: tl.constexpr, HAS_BESIDE: tl.constexpr,
):  # fmt: skip
    token = tl.program_id(0).to(tl.int64)
    place = tl.arange(0, BLOCK)
    largest, poison = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
    for chunk in tl.static_range(CHUNKS):
        at = chunk * BLOCK + place
        values = tl.load(x + token * stride + at, at < width, other=0.0).to(tl.float32)
        largest = tl.maximum(largest, tl.abs(values))
        poison += values * 0.0  # maxima and bounds pass over what is no number, and this doesn't
    rank = tl.arange(0, RANKS)
    thin = tl.load(beside + token * ranks + rank, rank < ranks, other=0.0).to(tl.float32)
    if HAS_BESIDE:
        thin *= tl.load(gain)
    factor = tl.maximum(tl.maximum(tl.max(largest), tl.max(tl.abs(thin))) / LARGEST, TINY)
    factor += tl.sum(poison) + tl.sum(thin * 0.0)
    tl.store(scale + token, factor)
    for chunk in tl.static_range(CHUNKS):
        at = chunk * BLOCK + place
        values = tl.load(x + token * stride + at, at < width, other=0.0).to(tl.float32)
        tl.store(codes + token * to_stride + at, code(values / factor), at < width)
    to = codes + token * to_stride
    exact = thin / factor
    code_beside(to + width, rank, rank < ranks, exact, ranks)
    rest = width + 3 * ranks + tl.arange(0, 16)
    tl.store(to + rest, code(rest * 0.0), rest < to_stride)


@triton.jit
def code_beside(to, rank, inside, exact, ranks):
    """Numbers as three columns each: rounded, rounded, and what rounding left."""
    held = as_coded(exact)
    coded = code(held)
    tl.store(to + rank, coded, inside)
    tl.store(to + ranks + rank, coded, inside)
    tl.store(to + 2 * ranks + rank, code(as_coded(exact - held)), inside)


@triton.jit
def as_coded(numbers):
    """float32 numbers as their codes hold them: three bits behind the first, or, below 2^-6, multiples of 2^-9.

    Made of float32 alone: Triton 3.6 reads codes back as other numbers where a thread has 16 of them in a row.
    """
    within = tl.minimum(tl.maximum(numbers, -LARGEST), LARGEST)
    bits = within.to(tl.int32, bitcast=True)
    even = (bits + 0x7FFFF + ((bits >> 20) & 1)) & -0x100000
    tiny = (within + 24576.0) - 24576.0  # numbers of float32 lie 2^-9 apart there
    return tl.where(tl.abs(within) < 0.015625, tiny, even.to(tl.float32, bitcast=True))


@triton.jit
def code(numbers):
    return tl.minimum(tl.maximum(numbers, -LARGEST), LARGEST).to(tl.float8e4nv)


@triton.jit
def magnitude(numbers):
    """Absolute numbers as whole ones of the same order, in which what is no number counts most."""
    return numbers.to(tl.float32).to(tl.int32, bitcast=True) & 0x7FFFFFFF


@triton.jit
def _code_adapters(
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
