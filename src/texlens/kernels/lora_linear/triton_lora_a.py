"""The adapters' thin products as Triton kernels, each reading what is wide once.

Twins: `products.thin_pair`, and for the norms `layer` and `products.Adapted`. Sums are made in float32, in parts that
are added in a fixed order: equal runs, equal numbers.

# T = tokens, D = width in, N = width out, R = adapter ranks side by side, rounded up
"""

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from texlens.kernels.elementwise.triton import behind_norm
from texlens.kernels.fp8.format import CODE, room_for
from texlens.kernels.fp8.triton import LARGEST, TINY, code, code_beside


class Cut(NamedTuple):
    """How a kernel is cut: rows and columns of a tile, powers of two (columns of at least 64 for `pair`); into how many
    programs at the most."""

    rows: int
    columns: int
    warps: int
    stages: int
    programs: int = 792


PAIR, NORM_CODES = Cut(64, 256, 8, 4, 264), Cut(64, 128, 4, 3)
"""The fastest of those tried on an H200 (`benchmarks/thin_kernels.py`), with 132 processors, for 32,768 tokens."""


class _Plan(NamedTuple):
    """The blocks of columns of a slope, int32 [blocks, 6], the blocks of each adapter, int32 [adapters, 4], and scale
    and rank of each, float32 [adapters, 2]; how many slopes there are in all."""

    blocks: Tensor
    adapters: Tensor
    scales: Tensor
    numbers: int
    fixed: dict[str, int]

    @property
    def ranks(self) -> int:
        return self.fixed["RANKS"]


def pair(
    slope: Tensor,
    up: Tensor,
    thin: Tensor,
    adapters: Sequence[Any],
    border: Tensor | None = None,
    cut: Cut | None = None,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """slope @ up [T, R], written into `border` too, and the slopes of each adapter's own `up`, float32 [n, r].

    Args:
        slope: [T, N], rows may lie apart; up [N, R] with its scale, rows may lie apart; thin [T, R].
        adapters: `products.Adapter`s, their columns side by side from 0 on.
    """
    tokens = len(slope)
    cut = cut or PAIR
    plan = _plan(tuple(_key(adapter) for adapter in adapters), up.shape[1], cut.columns, slope.device)
    blocks = len(plan.blocks)
    chunk = triton.cdiv(triton.cdiv(tokens, max(1, cut.programs // blocks)), cut.rows) * cut.rows
    chunks = triton.cdiv(tokens, chunk)
    along = torch.empty(blocks, tokens, plan.ranks, dtype=torch.float32, device=slope.device)
    sums = torch.empty(chunks, blocks * cut.columns, plan.ranks, dtype=torch.float32, device=slope.device)
    _pair[(blocks, chunks)](
        slope, up, thin, plan.blocks, along, sums, tokens, chunk, slope.stride(0), up.stride(0), thin.stride(0),
        ROWS=cut.rows, COLUMNS=cut.columns, **plan.fixed, num_warps=cut.warps, num_stages=cut.stages,
    )  # fmt: skip
    dthin = thin.new_empty(tokens, up.shape[1])
    dup = torch.empty(plan.numbers, dtype=torch.float32, device=slope.device)
    beside = dthin if border is None else border
    tiles = triton.cdiv(tokens, _TILE) * len(adapters)
    _add_parts[(tiles + blocks * (cut.columns // _TILE),)](
        along, sums, plan.blocks, plan.adapters, plan.scales, dthin, beside, dup, tokens, chunks, blocks, tiles,
        dthin.stride(0), beside.stride(0), len(adapters),
        TILE=_TILE, COLUMNS=cut.columns, RANKS=plan.ranks, ALIGNED=plan.fixed["ALIGNED"], BORDER=border is not None,
    )  # fmt: skip
    shapes = [adapter.up.shape for adapter in adapters]
    parts = dup.split([shape.numel() for shape in shapes])
    return dthin, tuple(part.view(shape) for part, shape in zip(parts, shapes, strict=True))


def _key(adapter: Any) -> tuple[int, int, int, int, float]:
    return adapter.rows.start, adapter.rows.stop, adapter.columns.start, adapter.columns.stop, float(adapter.scale)


@functools.lru_cache(maxsize=256)
def _plan(keys: tuple[tuple[int, int, int, int, float], ...], border: int, columns: int, device: torch.device) -> _Plan:
    """The last adapter takes the border's columns of zeros that round it up. Places are stored by a power of two that
    all are multiples of, so that the compiler knows it."""
    aligned = math.gcd(16, *(place for start, stop, *_ in keys for place in (start, stop)))
    ranked = math.gcd(16, border, *(left for _, _, left, *_ in keys))
    blocks, adapters, numbers = [], [], 0
    for number, (start, stop, left, right, _) in enumerate(keys):
        end = border if number == len(keys) - 1 else right
        began = len(blocks)
        for first in range(start, stop, columns):
            ranks = right - left
            place = first // aligned, stop // aligned, left // ranked, end // ranked
            blocks.append((*place, numbers + (first - start) * ranks, number))
        adapters.append((began, len(blocks), left, end))
        numbers += (stop - start) * (right - left)
    widest = max(end - left for _, _, left, end in adapters)
    scales = torch.tensor([[key[4], key[3] - key[2]] for key in keys], dtype=torch.float32)
    fixed = {"RANKS": max(16, triton.next_power_of_2(widest)), "ALIGNED": aligned, "RANKED": ranked}
    tables = torch.tensor(blocks, dtype=torch.int32), torch.tensor(adapters, dtype=torch.int32)
    return _Plan(tables[0].to(device), tables[1].to(device), scales.to(device), numbers, fixed)


def norm_codes(
    x: Tensor,
    weight: Tensor,
    eps: float,
    down: Tensor,
    gain: Tensor,
    added: Tensor | None = None,
    cut: Cut | None = None,
) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """`fp8.quantize_rows` of x [T, D], plus `added`, over its root mean square, times weight, with its product with
    down.T beside the codes; and that product [T, R].

    Of what is wide, only the sum is written in 16 bits, over `added`. The thin product is made of x itself, and divided
    by the root mean squares afterwards.
    """
    tokens, width = x.shape
    ranks, cut = len(down), cut or NORM_CODES
    room, thin = room_for(ranks), x.new_empty(tokens, ranks)
    source = x if added is None else added
    _thin_of_norm[(triton.cdiv(tokens, cut.rows),)](
        x, source, weight, down, thin, tokens, width, ranks, down.stride(0), eps,
        ADD=added is not None, ROWS=cut.rows, COLUMNS=cut.columns,
        RANKS=max(16, triton.next_power_of_2(ranks)), num_warps=cut.warps, num_stages=cut.stages,
    )  # fmt: skip
    codes = torch.empty(tokens, width + room, dtype=CODE, device=x.device)
    scale = torch.empty(tokens, 1, dtype=torch.float32, device=x.device)
    _norm_codes[(tokens,)](
        source, weight, thin, gain, codes, scale, width, ranks, width + room, eps,
        BLOCK=triton.next_power_of_2(width), RANKS=triton.next_power_of_2(ranks),
    )  # fmt: skip
    return (codes, scale), thin


def rms_norm_back(
    slope: Tensor, x: Tensor, weight: Tensor, eps: float, added: Tensor | None, dthin: Tensor, border: int = 0
) -> tuple[Tensor, Tensor]:
    """The slope of x plus `added` [T, D + border], and dthin [T, R] over the root mean squares of x.

    That, times x, times weight is the slope of `down`: dthin.T @ normed.
    """
    tokens, width = x.shape
    dx, beside = x.new_empty(tokens, width + border), torch.empty_like(dthin)
    other = slope if added is None else added
    _rms_norm_back[(tokens,)](
        slope, x, weight, other, dthin, dx, beside, width, other.stride(0), width + border, dthin.stride(0),
        beside.stride(0), dthin.shape[1], eps,
        ADD=added is not None, BLOCK=triton.next_power_of_2(width), RANKS=triton.next_power_of_2(dthin.shape[1]),
    )  # fmt: skip
    return dx, beside


_TILE = 64


@triton.jit
def _pair(
    slope, up, thin, blocks, along, sums, tokens, chunk, stride, up_stride, thin_stride,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, RANKS: tl.constexpr, ALIGNED: tl.constexpr, RANKED: tl.constexpr,
):  # fmt: skip
    block, part = tl.program_id(0), tl.program_id(1)
    first, end = tl.load(blocks + block * 6) * ALIGNED, tl.load(blocks + block * 6 + 1) * ALIGNED
    left, right = tl.load(blocks + block * 6 + 2) * RANKED, tl.load(blocks + block * 6 + 3) * RANKED
    place, rank = first + tl.arange(0, COLUMNS), tl.arange(0, RANKS)
    inside, real = place < end, left + rank < right
    at_up = up + place[:, None].to(tl.int64) * up_stride + (left + rank)[None]
    ups = tl.load(at_up, inside[:, None] & real[None], other=0.0)
    total = tl.zeros((COLUMNS, RANKS), tl.float32)
    for start in range(part * chunk, tl.minimum(part * chunk + chunk, tokens), ROWS):
        row = (start + tl.arange(0, ROWS)).to(tl.int64)
        there = row < tokens
        tile = tl.load(slope + row[:, None] * stride + place[None], there[:, None] & inside[None], other=0.0)
        at_thin = thin + row[:, None] * thin_stride + (left + rank)[None]
        thins = tl.load(at_thin, there[:, None] & real[None], other=0.0)
        to = along + (block.to(tl.int64) * tokens + row[:, None]) * RANKS + rank[None]
        tl.store(to, tl.dot(tile, ups, input_precision="ieee"), there[:, None])
        total = tl.dot(tl.trans(tile), thins, total, input_precision="ieee")
    row = (part * tl.num_programs(0) + block) * COLUMNS + tl.arange(0, COLUMNS)
    tl.store(sums + row[:, None].to(tl.int64) * RANKS + rank[None], total)


@triton.jit
def _add_parts(
    along, sums, blocks, adapters, scales, dthin, border, dup, tokens, chunks, count, tiles, stride, border_stride,
    adapter_count, TILE: tl.constexpr, COLUMNS: tl.constexpr, RANKS: tl.constexpr, ALIGNED: tl.constexpr,
    BORDER: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0)
    rank = tl.arange(0, RANKS)
    total = tl.zeros((TILE, RANKS), tl.float32)
    if program < tiles:
        adapter = program % adapter_count
        begin, end = tl.load(adapters + adapter * 4), tl.load(adapters + adapter * 4 + 1)
        left, right = tl.load(adapters + adapter * 4 + 2), tl.load(adapters + adapter * 4 + 3)
        row = (program // adapter_count * TILE + tl.arange(0, TILE)).to(tl.int64)
        there = (row < tokens)[:, None]
        at = along + (begin.to(tl.int64) * tokens + row[:, None]) * RANKS + rank[None]
        for _ in range(begin, end):
            total += tl.load(at, there, other=0.0)
            at += tokens * RANKS
        values = total.to(dthin.dtype.element_ty)
        inside = there & (left + rank < right)[None]
        tl.store(dthin + row[:, None] * stride + (left + rank)[None], values, inside)
        if BORDER:
            tl.store(border + row[:, None] * border_stride + (left + rank)[None], values, inside)
    else:
        block, part = (program - tiles) // (COLUMNS // TILE), (program - tiles) % (COLUMNS // TILE)
        place = part * TILE + tl.arange(0, TILE)
        first, end = tl.load(blocks + block * 6) * ALIGNED, tl.load(blocks + block * 6 + 1) * ALIGNED
        to, adapter = tl.load(blocks + block * 6 + 4), tl.load(blocks + block * 6 + 5)
        scale, ranks = tl.load(scales + adapter * 2), tl.load(scales + adapter * 2 + 1).to(tl.int32)
        for chunk in range(chunks):
            row = (chunk * count + block) * COLUMNS + place
            total += tl.load(sums + row[:, None].to(tl.int64) * RANKS + rank[None])
        inside = (first + place < end)[:, None] & (rank < ranks)[None]
        tl.store(dup + to + place[:, None] * ranks + rank[None], total * scale, inside)


@triton.jit
def _thin_of_norm(
    x, added, weight, down, thin, tokens, width, ranks, down_stride, eps,
    ADD: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, RANKS: tl.constexpr,
):  # fmt: skip
    row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    there = (row < tokens)[:, None]
    place, rank = tl.arange(0, COLUMNS), tl.arange(0, RANKS)
    kind = x.dtype.element_ty
    squares, total = tl.zeros((ROWS,), tl.float32), tl.zeros((ROWS, RANKS), tl.float32)
    for start in range(0, width, COLUMNS):
        at = start + place
        inside = there & (at < width)[None]
        values = tl.load(x + row[:, None] * width + at[None], inside, other=0.0)
        if ADD:
            to = added + row[:, None] * width + at[None]
            values = (values.to(tl.float32) + tl.load(to, inside, other=0.0).to(tl.float32)).to(kind)
            tl.store(to, values, inside)
        wide = values.to(tl.float32)
        squares += tl.sum(wide * wide, 1)
        at_down = down + rank[None] * down_stride + at[:, None]
        downs = tl.load(at_down, (at < width)[:, None] & (rank < ranks)[None], other=0.0)
        scale = tl.load(weight + at, at < width, other=0.0)
        total = tl.dot(values, (downs * scale[:, None]).to(kind), total, input_precision="ieee")
    rms = tl.rsqrt(squares / width + eps)[:, None]
    tl.store(thin + row[:, None] * ranks + rank[None], (total * rms).to(kind), there & (rank < ranks)[None])


@triton.jit
def _norm_codes(
    x, weight, beside, gain, codes, scale, width, ranks, stride, eps, BLOCK: tl.constexpr, RANKS: tl.constexpr
):
    token = tl.program_id(0).to(tl.int64)
    place, rank = tl.arange(0, BLOCK), tl.arange(0, RANKS)
    inside, real = place < width, rank < ranks
    values = tl.load(x + token * width + place, inside, other=0.0)
    kind = values.dtype
    wide = values.to(tl.float32)
    unit = (wide * tl.rsqrt(tl.sum(wide * wide) / width + eps)).to(kind)
    normed = (unit * tl.load(weight + place, inside, other=0.0)).to(kind).to(tl.float32)
    thin = tl.load(beside + token * ranks + rank, real, other=0.0).to(tl.float32) * tl.load(gain)
    largest = tl.maximum(tl.max(tl.abs(normed)), tl.max(tl.abs(thin)))
    factor = tl.maximum(largest / LARGEST, TINY)
    factor += tl.sum(normed * 0.0) + tl.sum(thin * 0.0)  # a maximum passes over what is no number, and this doesn't
    tl.store(scale + token, factor)
    to = codes + token * stride
    tl.store(to + place, code(normed / factor), inside)
    exact = thin / factor
    code_beside(to + width, rank, real, exact, ranks)
    rest = width + 3 * ranks + tl.arange(0, 16)
    tl.store(to + rest, code(rest * 0.0), rest < stride)


@triton.jit
def _rms_norm_back(
    slope, x, weight, added, dthin, dx, beside, width, added_stride, stride, dthin_stride, beside_stride, ranks, eps,
    ADD: tl.constexpr, BLOCK: tl.constexpr, RANKS: tl.constexpr,
):  # fmt: skip
    token = tl.program_id(0).to(tl.int64)
    place, rank = tl.arange(0, BLOCK), tl.arange(0, RANKS)
    inside = place < width
    values = tl.load(x + token * width + place, inside, other=0.0)
    scale = tl.load(weight + place, inside, other=0.0)
    result, _, rms = behind_norm(tl.load(slope + token * width + place, inside, other=0.0), values, scale, width, eps)
    if ADD:
        result += tl.load(added + token * added_stride + place, inside, other=0.0).to(tl.float32)
    tl.store(dx + token * stride + place, result.to(values.dtype), inside)
    thin = tl.load(dthin + token * dthin_stride + rank, rank < ranks, other=0.0)
    tl.store(beside + token * beside_stride + rank, (thin.to(tl.float32) * rms).to(thin.dtype), rank < ranks)
