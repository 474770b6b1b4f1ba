"""Attention within short segments as Triton kernels, forward and backward.

The query heads of one key head lie side by side in a tile: a tile of 64 rows holds 16 places of 4 heads. So a causal
tile wastes little above its diagonal, and the slopes of keys and values are summed over those heads in registers. The
backward pass is two kernels, one a tile of queries and one a tile of keys, without atomics: equal runs, equal numbers.

A kernel has one loop over tiles, whose first turn is certain, and asks within it what needs a mask. Sums that pass from
one loop to the next, such as one for full tiles, can make ptxas let each product wait for the one before it: a third
slower, and only told by its `-v` (C7515).

Tiles are found on the device: segment i begins at tile ends[i] // N + i, with N places a tile, since it never needs
more tiles than lie before the next one's beginning. The grid follows from T and S alone, so nothing is asked of the
host, and no length is needed. Online softmax: Dao 2023, arXiv:2307.08691.

# T = tokens, H = query heads, G = key/value heads, D = width of a head, S = segments
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor


class Blocks(NamedTuple):
    """How a kernel is cut: rows (places x heads) and keys of a tile.

    Rows, keys: powers of two of at least 16, and no fewer rows than query heads share a key head. `form` says where
    scores are masked: `branch` in tiles that need it, `masked` in every tile. `registers` of a thread, at the most:
    fewer let more tiles run side by side.
    """

    rows: int
    keys: int
    warps: int
    stages: int
    form: str = "branch"
    registers: int | None = None

    def keywords(self) -> dict[str, int | bool]:
        """What a launch takes of it."""
        cut = {"ROWS": self.rows, "KEYS": self.keys, "BRANCH": self.form == "branch"}
        limits = {} if self.registers is None else {"maxnreg": self.registers}
        return {**cut, "num_warps": self.warps, "num_stages": self.stages, **limits}


def forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    ends: Tensor,
    *,
    causal: bool,
    border: int = 0,
    blocks: Blocks | None = None,
) -> tuple[Tensor, Tensor]:
    """softmax(q k / sqrt(D)) v within each segment.

    Args:
        query: [T, H, D]; key and value [T, G, D]; tokens may lie apart (parts of a wider product), heads may not.
        ends: int32 [S + 1], ascending from 0 to at most T; segments may be empty.
        border: columns to leave free beside what was mixed, which is then the left part of [T, H D + border].

    Returns:
        what was mixed, [T, H, D], and float32 [G, T, H / G]: log2 of the sum of exp(score) over a row's keys, which
        `backward` needs. Both are 0 in tokens after the last segment.
    """
    query, key, value = _rows_of_heads(query), _rows_of_heads(key), _rows_of_heads(value)
    tokens, heads, width = query.shape
    mixed = query.new_empty(tokens, heads * width + border)[:, : heads * width].unflatten(1, (heads, width))
    blocks = blocks or choose_blocks("forward", query, causal)
    shape = _Shape.of(query, key, ends)
    sums = torch.empty(key.shape[1], tokens, shape.group, dtype=torch.float32, device=query.device)
    _mix[(shape.tiles(blocks.rows // shape.group), key.shape[1])](
        query, key, value, mixed, sums, ends, shape.segments, tokens,
        query.stride(0), key.stride(0), value.stride(0), mixed.stride(0), width**-0.5,
        **shape.fixed, CAUSAL=causal, **blocks.keywords(),
    )  # fmt: skip
    return mixed, sums


def backward(
    slope: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mixed: Tensor,
    sums: Tensor,
    ends: Tensor,
    *,
    causal: bool,
    query_blocks: Blocks | None = None,
    key_blocks: Blocks | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The slopes of query, key and value from that of `mixed`; `mixed` and `sums` are what `forward` gave."""
    query, key, value = _rows_of_heads(query), _rows_of_heads(key), _rows_of_heads(value)
    slope, mixed = _rows_of_heads(slope.to(query.dtype)), _rows_of_heads(mixed)
    dquery, along = slope_of_queries(slope, query, key, value, mixed, sums, ends, causal=causal, blocks=query_blocks)
    dkey, dvalue = slope_of_keys(slope, query, key, value, along, sums, ends, causal=causal, blocks=key_blocks)
    return dquery, dkey, dvalue


def slope_of_queries(
    slope: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mixed: Tensor,
    sums: Tensor,
    ends: Tensor,
    *,
    causal: bool,
    blocks: Blocks | None = None,
) -> tuple[Tensor, Tensor]:
    """The slope of `query`, and float32 [G, T, H / G]: the sum of slope x mixed over a head's width."""
    tokens, heads, width = query.shape
    dquery, along = query.new_empty(tokens, heads, width), torch.empty_like(sums)
    blocks = blocks or choose_blocks("queries", query, causal)
    shape = _Shape.of(query, key, ends)
    _slope_queries[(shape.tiles(blocks.rows // shape.group), key.shape[1])](
        slope, query, key, value, mixed, sums, along, dquery, ends, shape.segments, tokens,
        slope.stride(0), query.stride(0), key.stride(0), value.stride(0), mixed.stride(0), width**-0.5,
        **shape.fixed, CAUSAL=causal, **blocks.keywords(),
    )  # fmt: skip
    return dquery, along


def slope_of_keys(
    slope: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    along: Tensor,
    sums: Tensor,
    ends: Tensor,
    *,
    causal: bool,
    blocks: Blocks | None = None,
) -> tuple[Tensor, Tensor]:
    """The slopes of `key` and `value`; `along` as `slope_of_queries` gave it."""
    tokens, groups, width = key.shape
    dkey, dvalue = key.new_empty(tokens, groups, width), value.new_empty(tokens, groups, width)
    blocks = blocks or choose_blocks("keys", query, causal)
    shape = _Shape.of(query, key, ends)
    _slope_keys[(shape.tiles(blocks.keys), groups)](
        slope, query, key, value, sums, along, dkey, dvalue, ends, shape.segments, tokens,
        slope.stride(0), query.stride(0), key.stride(0), value.stride(0), width**-0.5,
        **shape.fixed, CAUSAL=causal, **blocks.keywords(),
    )  # fmt: skip
    return dkey, dvalue


def choose_blocks(part: str, query: Tensor, causal: bool) -> Blocks:
    """The way a kernel is cut; `part`: forward, queries or keys."""
    if query.dtype == torch.float32:
        return Blocks(32, 32, 4, 1)
    return _BLOCKS[part, "narrow" if query.shape[2] <= 64 else "wide", causal]


_BLOCKS = {
    ("forward", "wide", True): Blocks(64, 32, 4, 2, "branch", 128),
    ("forward", "wide", False): Blocks(64, 64, 4, 3),
    ("forward", "narrow", True): Blocks(128, 64, 8, 3),
    ("forward", "narrow", False): Blocks(64, 64, 4, 3),
    ("queries", "wide", True): Blocks(64, 32, 4, 2, "masked", 168),
    ("queries", "wide", False): Blocks(64, 64, 4, 2),
    ("queries", "narrow", True): Blocks(64, 32, 4, 3),
    ("queries", "narrow", False): Blocks(64, 32, 4, 3),
    ("keys", "wide", True): Blocks(32, 64, 4, 3),
    ("keys", "wide", False): Blocks(32, 64, 4, 2),
    ("keys", "narrow", True): Blocks(32, 64, 4, 3),
    ("keys", "narrow", False): Blocks(32, 64, 4, 3),
}
"""The fastest tried on an H200 (`benchmarks/attention_kernels.py`), for segments of some 290 and 600 tokens."""


class _Shape(NamedTuple):
    tokens: int
    segments: int
    group: int
    fixed: dict[str, int]

    @classmethod
    def of(cls, query: Tensor, key: Tensor, ends: Tensor) -> "_Shape":
        tokens, heads, width = query.shape
        group, bounds = heads // key.shape[1], len(ends)
        padded = max(16, triton.next_power_of_2(width))
        fixed = {"HEADS": heads, "GROUP": group, "WIDTH": width, "PADDED": padded}
        return cls(tokens, bounds - 1, group, {**fixed, "BOUNDS": triton.next_power_of_2(bounds)})

    def tiles(self, places: int) -> int:
        """Tiles of all segments and of what lies behind them, at the most."""
        return self.tokens // places + self.segments + 1


def _rows_of_heads(x: Tensor) -> Tensor:
    """x [T, H, D] with heads end to end in each token."""
    return x if x.stride(2) == 1 and x.stride(1) == x.shape[2] else x.contiguous()


LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def _read(at, alive, column, WIDTH: tl.constexpr, PADDED: tl.constexpr):
    """A tile of rows, 0 in rows that are not alive and in columns beyond the width."""
    if WIDTH == PADDED:
        tile = tl.load(at, alive[:, None], other=0.0)
    else:
        tile = tl.load(at, alive[:, None] & (column < WIDTH)[None, :], other=0.0)
    return tile


@triton.jit
def _scores(q, k):
    return tl.dot(q, tl.trans(k), input_precision="ieee")


@triton.jit
def _tile(ends, segments, tokens, tile, PLACES: tl.constexpr, BOUNDS: tl.constexpr):
    """The tile's segment, where that begins, its length, and the tile's first place within it.

    From one load, for a tile can't read anything else before.
    """
    index = tl.arange(0, BOUNDS)
    bounds = tl.load(ends + index, index <= segments, other=0)
    begun = (index <= segments) & (bounds // PLACES + index <= tile)
    segment = tl.sum(begun.to(tl.int32)) - 1
    start = tl.max(tl.where(begun, bounds, 0))
    end = tl.min(tl.where(begun | (index > segments), tokens, bounds))
    return segment, start.to(tl.int64), end - start, (tile - start // PLACES - segment) * PLACES


@triton.jit
def _alive(row, places, ROWS: tl.constexpr, GROUP: tl.constexpr):
    """Which rows of a tile hold one of so many places."""
    alive = row < places * GROUP
    if ROWS % GROUP != 0:
        alive = alive & (row < ROWS // GROUP * GROUP)
    return alive


@triton.jit
def _apart(row, column, stride, GROUP: tl.constexpr, WIDTH: tl.constexpr):
    """How far the rows of a tile, several heads of each place, lie behind its first."""
    return (row // GROUP * stride + row % GROUP * WIDTH)[:, None] + column[None, :]


@triton.jit
def _unmask(
    x, other, place, across, position, length, clear,
    KEYS: tl.constexpr, CAUSAL: tl.constexpr, BRANCH: tl.constexpr,
):  # fmt: skip
    """x [rows, keys], `other` where a row doesn't see a key. BRANCH: only in tiles that reach beyond key `clear`."""
    if not BRANCH or place + KEYS > clear:
        if CAUSAL:
            x = tl.where((place + across)[None, :] <= position[:, None], x, other)
        else:
            x = tl.where((place + across < length)[None, :], x, other)
    return x


@triton.jit(do_not_specialize=["segments", "tokens"])
def _mix(
    query, key, value, mixed, sums, ends, segments, tokens,
    query_stride: tl.constexpr, key_stride: tl.constexpr, value_stride: tl.constexpr, mixed_stride: tl.constexpr, soft,
    HEADS: tl.constexpr, GROUP: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr, BOUNDS: tl.constexpr,
    CAUSAL: tl.constexpr, BRANCH: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):  # fmt: skip
    PLACES: tl.constexpr = ROWS // GROUP
    tile = tl.num_programs(0) - 1 - tl.program_id(0)
    segment, start, length, first = _tile(ends, segments, tokens, tile, PLACES, BOUNDS)
    if first >= length:
        return
    group = tl.program_id(1)
    row, across, column = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, PADDED)
    alive = _alive(row, length - first, ROWS, GROUP)
    there = alive[:, None] & (column < WIDTH)[None, :]
    mixed += (start + first) * mixed_stride + group * GROUP * WIDTH
    mixed_apart = _apart(row, column, mixed_stride, GROUP, WIDTH)
    sums += (group.to(tl.int64) * tokens + start + first) * GROUP
    mixture = tl.zeros([ROWS, PADDED], tl.float32)
    if segment == segments:
        tl.store(mixed + mixed_apart, mixture.to(mixed.dtype.element_ty), there)
        tl.store(sums + row, tl.zeros([ROWS], tl.float32), alive)
        return
    query += (start + first) * query_stride + group * GROUP * WIDTH
    q = _read(query + _apart(row, column, query_stride, GROUP, WIDTH), alive, column, WIDTH, PADDED)
    key += start * key_stride + group * WIDTH
    value += start * value_stride + group * WIDTH
    key_apart = (across * key_stride)[:, None] + column[None, :]
    value_apart = (across * value_stride)[:, None] + column[None, :]
    scale = soft * LOG2_E
    position = first + row // GROUP
    top, total = tl.full([ROWS], float("-inf"), tl.float32), tl.zeros([ROWS], tl.float32)
    last, clear = length, length
    if CAUSAL:
        last, clear = tl.minimum(first + PLACES, length), first + 1
    for place in range(0, last, KEYS):
        kept = across < length - place
        k = _read(key + place * key_stride + key_apart, kept, column, WIDTH, PADDED)
        scores = _scores(q, k)
        scores = _unmask(scores, float("-inf"), place, across, position, length, clear, KEYS, CAUSAL, BRANCH)
        higher = tl.maximum(top, tl.max(scores, 1) * scale)
        weights = tl.exp2(scores * scale - higher[:, None])
        fade = tl.exp2(top - higher)
        v = _read(value + place * value_stride + value_apart, kept, column, WIDTH, PADDED)
        mixture = tl.dot(weights.to(v.dtype), v, mixture * fade[:, None], input_precision="ieee")
        total = total * fade + tl.sum(weights, 1)
        top = higher
    tl.store(mixed + mixed_apart, (mixture / total[:, None]).to(mixed.dtype.element_ty), there)
    tl.store(sums + row, top + tl.log2(total), alive)


@triton.jit(do_not_specialize=["segments", "tokens"])
def _slope_queries(
    slope, query, key, value, mixed, sums, along, dquery, ends, segments, tokens,
    slope_stride: tl.constexpr, query_stride: tl.constexpr, key_stride: tl.constexpr, value_stride: tl.constexpr,
    mixed_stride: tl.constexpr, soft,
    HEADS: tl.constexpr, GROUP: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr, BOUNDS: tl.constexpr,
    CAUSAL: tl.constexpr, BRANCH: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):  # fmt: skip
    PLACES: tl.constexpr = ROWS // GROUP
    tile = tl.num_programs(0) - 1 - tl.program_id(0)
    segment, start, length, first = _tile(ends, segments, tokens, tile, PLACES, BOUNDS)
    if first >= length:
        return
    group = tl.program_id(1)
    row, across, column = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, PADDED)
    alive = _alive(row, length - first, ROWS, GROUP)
    there = alive[:, None] & (column < WIDTH)[None, :]
    even = _apart(row, column, HEADS * WIDTH, GROUP, WIDTH)
    dquery += (start + first) * HEADS * WIDTH + group * GROUP * WIDTH
    beside = (group.to(tl.int64) * tokens + start + first) * GROUP
    dq = tl.zeros([ROWS, PADDED], tl.float32)
    if segment == segments:
        tl.store(dquery + even, dq.to(dquery.dtype.element_ty), there)
        tl.store(along + beside + row, tl.zeros([ROWS], tl.float32), alive)
        return
    slope += (start + first) * slope_stride + group * GROUP * WIDTH
    do = _read(slope + _apart(row, column, slope_stride, GROUP, WIDTH), alive, column, WIDTH, PADDED)
    mixed += (start + first) * mixed_stride + group * GROUP * WIDTH
    mixture = _read(mixed + _apart(row, column, mixed_stride, GROUP, WIDTH), alive, column, WIDTH, PADDED)
    query += (start + first) * query_stride + group * GROUP * WIDTH
    q = _read(query + _apart(row, column, query_stride, GROUP, WIDTH), alive, column, WIDTH, PADDED)
    total = tl.load(sums + beside + row, alive, other=0.0)
    shared = tl.sum(do.to(tl.float32) * mixture.to(tl.float32), 1)
    tl.store(along + beside + row, shared, alive)
    key += start * key_stride + group * WIDTH
    value += start * value_stride + group * WIDTH
    key_apart = (across * key_stride)[:, None] + column[None, :]
    value_apart = (across * value_stride)[:, None] + column[None, :]
    scale = soft * LOG2_E
    position = first + row // GROUP
    last, clear = length, length
    if CAUSAL:
        last, clear = tl.minimum(first + PLACES, length), first + 1
    for place in range(0, last, KEYS):
        kept = across < length - place
        k = _read(key + place * key_stride + key_apart, kept, column, WIDTH, PADDED)
        v = _read(value + place * value_stride + value_apart, kept, column, WIDTH, PADDED)
        weights = tl.exp2(_scores(q, k) * scale - total[:, None])
        weights = _unmask(weights, 0.0, place, across, position, length, clear, KEYS, CAUSAL, BRANCH)
        lean = weights * (_scores(do, v) - shared[:, None])
        dq = tl.dot(lean.to(k.dtype), k, dq, input_precision="ieee")
    tl.store(dquery + even, (dq * soft).to(dquery.dtype.element_ty), there)


@triton.jit(do_not_specialize=["segments", "tokens"])
def _slope_keys(
    slope, query, key, value, sums, along, dkey, dvalue, ends, segments, tokens,
    slope_stride: tl.constexpr, query_stride: tl.constexpr, key_stride: tl.constexpr, value_stride: tl.constexpr, soft,
    HEADS: tl.constexpr, GROUP: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr, BOUNDS: tl.constexpr,
    CAUSAL: tl.constexpr, BRANCH: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):  # fmt: skip
    PLACES: tl.constexpr = ROWS // GROUP
    GROUPS: tl.constexpr = HEADS // GROUP
    segment, start, length, first = _tile(ends, segments, tokens, tl.program_id(0), KEYS, BOUNDS)
    if first >= length:
        return
    group = tl.program_id(1)
    row, across, column = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, PADDED)
    kept = across < length - first
    there = kept[:, None] & (column < WIDTH)[None, :]
    even = (across * GROUPS * WIDTH)[:, None] + column[None, :]
    dkey += (start + first) * GROUPS * WIDTH + group * WIDTH
    dvalue += (start + first) * GROUPS * WIDTH + group * WIDTH
    dk, dv = tl.zeros([KEYS, PADDED], tl.float32), tl.zeros([KEYS, PADDED], tl.float32)
    if segment == segments:
        tl.store(dkey + even, dk.to(dkey.dtype.element_ty), there)
        tl.store(dvalue + even, dv.to(dvalue.dtype.element_ty), there)
        return
    key += (start + first) * key_stride + group * WIDTH
    value += (start + first) * value_stride + group * WIDTH
    k = _read(key + (across * key_stride)[:, None] + column[None, :], kept, column, WIDTH, PADDED)
    v = _read(value + (across * value_stride)[:, None] + column[None, :], kept, column, WIDTH, PADDED)
    begin = 0
    if CAUSAL:
        begin = first
    step = row // GROUP
    query += start * query_stride + group * GROUP * WIDTH
    slope += start * slope_stride + group * GROUP * WIDTH
    query_apart = _apart(row, column, query_stride, GROUP, WIDTH)
    slope_apart = _apart(row, column, slope_stride, GROUP, WIDTH)
    beside = (group.to(tl.int64) * tokens + start) * GROUP
    sums += beside
    along += beside
    scale = soft * LOG2_E
    for place in range(begin, length, PLACES):
        alive = _alive(row, length - place, ROWS, GROUP)
        q = _read(query + place * query_stride + query_apart, alive, column, WIDTH, PADDED)
        total = tl.load(sums + place * GROUP + row, alive, other=0.0)
        do = _read(slope + place * slope_stride + slope_apart, alive, column, WIDTH, PADDED)
        shared = tl.load(along + place * GROUP + row, alive, other=0.0)
        weights = tl.exp2(_scores(k, q) * scale - total[None, :])
        if CAUSAL and (not BRANCH or place < first + KEYS - 1):
            weights = tl.where((first + across)[:, None] <= (place + step)[None, :], weights, 0.0)
        dv = tl.dot(weights.to(do.dtype), do, dv, input_precision="ieee")
        lean = (weights * (_scores(v, do) - shared[None, :])).to(q.dtype)
        dk = tl.dot(lean, q, dk, input_precision="ieee")
    tl.store(dkey + even, (dk * soft).to(dkey.dtype.element_ty), there)
    tl.store(dvalue + even, dv.to(dvalue.dtype.element_ty), there)
