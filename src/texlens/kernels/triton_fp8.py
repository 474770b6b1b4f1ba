"""Rows to float8 as Triton kernels, and thin products with them; the twins stand in `fp8`.

# T = rows, D = width, R = columns beside
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from texlens.kernels.fp8 import CODE, HEADROOM, Coded8, room_for

_LARGEST = tl.constexpr(448.0)
_TINY = tl.constexpr(1.1754944e-38)
_COLUMNS = 4096


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
        num_warps=8 if block >= 4096 else 4,
    )  # fmt: skip
    return codes, scale


@triton.jit
def _quantise(
    x, beside, gain, codes, scale, width, ranks, stride, to_stride,
    CHUNKS: tl.constexpr, BLOCK: tl.constexpr, RANKS: tl.constexpr, HAS_BESIDE: tl.constexpr,
):  # fmt: skip
    token = tl.program_id(0).to(tl.int64)
    place = tl.arange(0, BLOCK)
    largest = tl.zeros((BLOCK,), tl.float32)
    for chunk in tl.static_range(CHUNKS):
        at = chunk * BLOCK + place
        values = tl.load(x + token * stride + at, at < width, other=0.0).to(tl.float32)
        largest = tl.maximum(largest, tl.abs(values))
    rank = tl.arange(0, RANKS)
    thin = tl.load(beside + token * ranks + rank, rank < ranks, other=0.0).to(tl.float32)
    if HAS_BESIDE:
        thin *= tl.load(gain)
    factor = tl.maximum(tl.maximum(tl.max(largest), tl.max(tl.abs(thin))) / _LARGEST, _TINY)
    tl.store(scale + token, factor)
    for chunk in tl.static_range(CHUNKS):
        at = chunk * BLOCK + place
        values = tl.load(x + token * stride + at, at < width, other=0.0).to(tl.float32)
        tl.store(codes + token * to_stride + at, _code(values / factor), at < width)
    to = codes + token * to_stride
    exact = thin / factor
    coded = _code(exact)
    tl.store(to + width + rank, coded, rank < ranks)
    tl.store(to + width + ranks + rank, coded, rank < ranks)
    tl.store(to + width + 2 * ranks + rank, _code(exact - coded.to(tl.float32)), rank < ranks)
    rest = width + 3 * ranks + tl.arange(0, 16)
    tl.store(to + rest, _code(rest * 0.0), rest < to_stride)


@triton.jit
def _code(numbers):
    return tl.minimum(tl.maximum(numbers, -_LARGEST), _LARGEST).to(tl.float8e4nv)


def swiglu_codes(wide: Tensor, room: int) -> Coded8:
    """`fp8.swiglu_codes`."""
    tokens, width = wide.shape[0], wide.shape[1] // 2
    codes = torch.empty(tokens, width + room, dtype=CODE, device=wide.device)
    scale = torch.empty(tokens, 1, dtype=torch.float32, device=wide.device)
    _swiglu_codes[(tokens,)](
        wide, codes, scale, width, room, _LARGEST.value / HEADROOM,
        BLOCK=triton.next_power_of_2(width), ROOM=triton.next_power_of_2(max(room, 1)), num_warps=16,
    )  # fmt: skip
    return Coded8(codes, scale, width)


def swiglu_back_codes(slope: Tensor, wide: Tensor, room: int) -> tuple[Coded8, Coded8]:
    """`fp8.swiglu_back_codes`."""
    tokens, width = wide.shape[0], wide.shape[1] // 2
    codes = torch.empty(tokens, 2 * width + room, dtype=CODE, device=wide.device)
    act = torch.empty(tokens, width, dtype=CODE, device=wide.device)
    scale, act_scale = (torch.empty(tokens, 1, dtype=torch.float32, device=wide.device) for _ in range(2))
    _swiglu_back_codes[(tokens,)](
        slope, wide, codes, scale, act, act_scale, width, room, _LARGEST.value / HEADROOM,
        BLOCK=triton.next_power_of_2(width), ROOM=triton.next_power_of_2(max(room, 1)), num_warps=16,
    )  # fmt: skip
    return Coded8(codes, scale, 2 * width), Coded8(act, act_scale, width)


def thin_of_codes(rows: Coded8, right: Tensor, gain: Tensor) -> Tensor:
    """`fp8.thin_of_codes`."""
    tokens, ranks = len(rows.codes), right.shape[1]
    thin = torch.empty(tokens, ranks, dtype=right.dtype, device=right.device)
    _thin_of_codes[(triton.cdiv(tokens, 32),)](
        rows.codes, rows.scale, right, gain, thin, tokens, rows.width, ranks,
        rows.codes.stride(0), right.stride(0), right.stride(1),
        TOKENS=32, COLUMNS=256, RANKS=max(16, triton.next_power_of_2(ranks)), num_warps=4, num_stages=3,
    )  # fmt: skip
    return thin


def codes_over_tokens(rows: Coded8, right: Tensor) -> Tensor:
    """`fp8.codes_over_tokens`, as sums of parts of the tokens, added in a fixed order."""
    tokens, ranks = right.shape
    columns, span = 128, 2048
    parts = triton.cdiv(tokens, span)
    found = torch.empty(parts, rows.width, ranks, dtype=torch.float32, device=right.device)
    _codes_over_tokens[(triton.cdiv(rows.width, columns), parts)](
        rows.codes, rows.scale, right, found, tokens, rows.width, ranks, rows.codes.stride(0), right.stride(0),
        SPAN=span, TOKENS=64, COLUMNS=columns, RANKS=max(16, triton.next_power_of_2(ranks)),
        num_warps=4, num_stages=3,
    )  # fmt: skip
    return found.sum(0)


@triton.jit
def _swiglu_codes(wide, codes, scale, width, room, largest, BLOCK: tl.constexpr, ROOM: tl.constexpr):
    token = tl.program_id(0).to(tl.int64)
    place = tl.arange(0, BLOCK)
    inside = place < width
    gate = tl.load(wide + token * 2 * width + place, inside, other=0.0).to(tl.float32)
    up = tl.load(wide + token * 2 * width + width + place, inside, other=0.0).to(tl.float32)
    act = gate * tl.sigmoid(gate) * up
    factor = tl.maximum(tl.max(tl.abs(act)) / largest, _TINY)
    tl.store(scale + token, factor)
    tl.store(codes + token * (width + room) + place, _code(act / factor), inside)
    free = tl.arange(0, ROOM)
    tl.store(codes + token * (width + room) + width + free, _code(free * 0.0), free < room)


@triton.jit
def _swiglu_back_codes(
    slope, wide, codes, scale, act, act_scale, width, room, largest, BLOCK: tl.constexpr, ROOM: tl.constexpr
):
    token = tl.program_id(0).to(tl.int64)
    place = tl.arange(0, BLOCK)
    inside = place < width
    gate = tl.load(wide + token * 2 * width + place, inside, other=0.0).to(tl.float32)
    up = tl.load(wide + token * 2 * width + width + place, inside, other=0.0).to(tl.float32)
    along = tl.load(slope + token * width + place, inside, other=0.0).to(tl.float32)
    switch = tl.sigmoid(gate)
    silu = gate * switch
    value = silu * up
    factor = tl.maximum(tl.max(tl.abs(value)) / largest, _TINY)
    tl.store(act_scale + token, factor)
    tl.store(act + token * width + place, _code(value / factor), inside)
    dgate = along * up * switch * (1 + gate * (1 - switch))
    dup = along * silu
    factor = tl.maximum(tl.max(tl.maximum(tl.abs(dgate), tl.abs(dup))) / largest, _TINY)
    tl.store(scale + token, factor)
    to = codes + token * (2 * width + room)
    tl.store(to + place, _code(dgate / factor), inside)
    tl.store(to + width + place, _code(dup / factor), inside)
    free = tl.arange(0, ROOM)
    tl.store(to + 2 * width + free, _code(free * 0.0), free < room)


@triton.jit
def _thin_of_codes(
    codes, scale, right, gain, thin, tokens, width, ranks, stride, right_stride, right_step,
    TOKENS: tl.constexpr, COLUMNS: tl.constexpr, RANKS: tl.constexpr,
):  # fmt: skip
    token = tl.program_id(0).to(tl.int64) * TOKENS + tl.arange(0, TOKENS)
    rank, column = tl.arange(0, RANKS), tl.arange(0, COLUMNS)
    here, there = token < tokens, rank < ranks
    total = tl.zeros((TOKENS, RANKS), tl.float32)
    for start in range(0, width, COLUMNS):
        at = start + column
        rows = tl.load(codes + token[:, None] * stride + at[None], here[:, None] & (at < width)[None], other=0.0)
        beside = tl.load(
            right + at[:, None] * right_stride + rank[None] * right_step, (at < width)[:, None] & there[None], other=0.0
        )
        total += tl.dot(rows.to(beside.dtype), beside)
    factor = tl.load(scale + token, here, other=1.0)[:, None]
    result = (total * factor).to(thin.dtype.element_ty)
    wanted = here[:, None] & there[None]
    tl.store(thin + token[:, None] * ranks + rank[None], result, wanted)
    exact = result.to(tl.float32) * tl.load(gain) / factor
    coded = _code(exact)
    to = codes + token[:, None] * stride + width + rank[None]
    tl.store(to, coded, wanted)
    tl.store(to + ranks, coded, wanted)
    tl.store(to + 2 * ranks, _code(exact - coded.to(tl.float32)), wanted)


@triton.jit
def _codes_over_tokens(
    codes, scale, right, found, tokens, width, ranks, stride, right_stride,
    SPAN: tl.constexpr, TOKENS: tl.constexpr, COLUMNS: tl.constexpr, RANKS: tl.constexpr,
):  # fmt: skip
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    rank, step = tl.arange(0, RANKS), tl.arange(0, TOKENS)
    total = tl.zeros((COLUMNS, RANKS), tl.float32)
    first = tl.program_id(1).to(tl.int64) * SPAN
    for start in range(0, SPAN, TOKENS):
        token = first + start + step
        here = token < tokens
        rows = tl.load(
            codes + token[:, None] * stride + column[None], here[:, None] & (column < width)[None], other=0.0
        )
        thin = tl.load(
            right + token[:, None] * right_stride + rank[None], here[:, None] & (rank < ranks)[None], other=0.0
        )
        factor = tl.load(scale + token, here, other=0.0)
        thin = (thin.to(tl.float32) * factor[:, None]).to(thin.dtype)
        total += tl.dot(tl.trans(rows.to(thin.dtype)), thin)
    to = found + (tl.program_id(1).to(tl.int64) * width + column[:, None]) * ranks + rank[None]
    tl.store(to, total, (column < width)[:, None] & (rank < ranks)[None])
