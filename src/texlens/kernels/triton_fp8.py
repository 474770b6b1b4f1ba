"""Quantisation of rows to float8 as one Triton kernel; the twin is `fp8.quantise_rows_plainly`.

# T = rows, D = width, R = columns beside
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from texlens.kernels.fp8 import CODE, room_for

LARGEST = tl.constexpr(448.0)
TINY = tl.constexpr(1.1754944e-38)
_COLUMNS = 2048


def quantise_rows(x: Tensor, beside: Tensor | None = None, gain: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """`fp8.quantise_rows`; rows of x may lie apart."""
    tokens, width = x.shape
    ranks = 0 if beside is None else beside.shape[1]
    room = room_for(ranks)
    codes = torch.empty(tokens, width + room, dtype=CODE, device=x.device)
    scale = torch.empty(tokens, 1, dtype=torch.float32, device=x.device)
    block = min(_COLUMNS, triton.next_power_of_2(width))
    thin, factor = (x, scale) if beside is None or gain is None else (beside, gain)
    _quantise[(tokens,)](
        x, thin, factor, codes, scale, width, ranks, x.stride(0), width + room,
        CHUNKS=triton.cdiv(width, block), BLOCK=block, RANKS=triton.next_power_of_2(max(ranks, 1)),
        HAS_BESIDE=beside is not None,
        num_warps=2 if width <= 1.5 * _COLUMNS else 4,
    )  # fmt: skip
    return codes, scale


@triton.jit
def _quantise(
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
