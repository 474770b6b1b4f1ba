"""Attention within short segments as Triton kernels, forward and backward.

The query heads of one key head lie side by side in a tile: a tile of 64 rows holds 16 places of 4 heads. So a causal
tile wastes little above its diagonal, and the slopes of keys and values are summed over those heads in registers. The
backward pass is two kernels, one a tile of queries and one a tile of keys, without atomics: equal runs, equal numbers.

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
    """How a kernel is cut: rows (places x heads) and keys of a tile; `split` runs full tiles in a loop without masks.

    Rows, keys: powers of two of at least 16, and no fewer rows than query heads share a key head. `registers` of a
    thread, at the most: fewer let more tiles run side by side.
    """

    rows: int
    keys: int
    warps: int
    stages: int
    split: bool = True
    registers: int | None = None

    def launch(self) -> dict[str, int]:
        limits = {} if self.registers is None else {"maxnreg": self.registers}
        return {"num_warps": self.warps, "num_stages": self.stages, **limits}


def forward(
    query: Tensor, key: Tensor, value: Tensor, ends: Tensor, *, causal: bool, blocks: Blocks | None = None
) -> tuple[Tensor, Tensor]:
    """softmax(q k / sqrt(D)) v within each segment.

    Args:
        query: [T, H, D]; key and value [T, G, D]; tokens may lie apart (parts of a wider product), heads may not.
        ends: int32 [S + 1], ascending from 0 to at most T; segments may be empty.

    Returns:
        what was mixed, [T, H, D], and float32 [H, T]: log2 of the sum of exp(score) over a row's keys, which
        `backward` needs. Both are 0 in tokens after the last segment.
    """
    query, key, value = _rows_of_heads(query), _rows_of_heads(key), _rows_of_heads(value)
    tokens, heads, width = query.shape
    mixed = query.new_empty(tokens, heads, width)
    sums = torch.empty(heads, tokens, dtype=torch.float32, device=query.device)
    blocks = blocks or choose_blocks("forward", query, causal)
    shape = _Shape.of(query, key, ends)
    _mix[(shape.tiles(blocks.rows // shape.group), key.shape[1])](
        query, key, value, mixed, sums, ends, shape.segments, tokens,
        query.stride(0), key.stride(0), value.stride(0), width**-0.5,
        **shape.fixed, CAUSAL=causal, SPLIT=blocks.split, ROWS=blocks.rows, KEYS=blocks.keys,
        **blocks.launch(),
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
    slope, mixed = _rows_of_heads(slope.to(query.dtype)), mixed.contiguous()
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
    """The slope of `query`, and float32 [H, T]: the sum of slope x mixed over a head's width."""
    tokens, heads, width = query.shape
    dquery, along = query.new_empty(tokens, heads, width), torch.empty_like(sums)
    blocks = blocks or choose_blocks("queries", query, causal)
    shape = _Shape.of(query, key, ends)
    _slope_queries[(shape.tiles(blocks.rows // shape.group), key.shape[1])](
        slope, query, key, value, mixed, sums, along, dquery, ends, shape.segments, tokens,
        slope.stride(0), query.stride(0), key.stride(0), value.stride(0), width**-0.5,
        **shape.fixed, CAUSAL=causal, SPLIT=blocks.split, ROWS=blocks.rows, KEYS=blocks.keys,
        **blocks.launch(),
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
        **shape.fixed, CAUSAL=causal, SPLIT=blocks.split, ROWS=blocks.rows, KEYS=blocks.keys,
        **blocks.launch(),
    )  # fmt: skip
    return dkey, dvalue


def choose_blocks(part: str, query: Tensor, causal: bool) -> Blocks:
    """The way a kernel is cut; `part`: forward, queries or keys."""
    if query.dtype == torch.float32:
        return Blocks(32, 32, 4, 1)
    return _BLOCKS[part, "narrow" if query.shape[2] <= 64 else "wide", causal]


_BLOCKS = {
    ("forward", "wide", True): Blocks(64, 32, 4, 3),
    ("forward", "wide", False): Blocks(64, 64, 4, 3),
    ("forward", "narrow", True): Blocks(128, 64, 8, 3),
    ("forward", "narrow", False): Blocks(128, 64, 8, 3),
    ("queries", "wide", True): Blocks(64, 32, 4, 2),
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
def _find(ends, segments, tokens, tile, PLACES: tl.constexpr, BOUNDS: tl.constexpr):
    """The tile's segment, where that begins, its length, and the tile's first place within it."""
    index = tl.arange(0, BOUNDS)
    bounds = tl.load(ends + index, index <= segments, other=0)
    firsts = bounds // PLACES + index
    segment = tl.sum(((index <= segments) & (firsts <= tile)).to(tl.int32)) - 1
    start = tl.load(ends + segment)
    end = tl.load(ends + segment + 1, segment < segments, other=tokens)
    first = (tile - start // PLACES - segment) * PLACES
    return segment, start.to(tl.int64), end - start, first


@triton.jit
def _read(at, alive, column, WIDTH: tl.constexpr, PADDED: tl.constexpr, ALL: tl.constexpr):
    """A tile of rows, 0 in rows that are not alive (ALL: they all are) and in columns beyond the width."""
    inside = (column < WIDTH)[None, :]
    if WIDTH == PADDED and ALL:
        tile = tl.load(at)
    elif ALL:
        tile = tl.load(at, inside, other=0.0)
    elif WIDTH == PADDED:
        tile = tl.load(at, alive[:, None], other=0.0)
    else:
        tile = tl.load(at, alive[:, None] & inside, other=0.0)
    return tile


@triton.jit
def _scores(q, k):
    return tl.dot(q, tl.trans(k), input_precision="ieee")


@triton.jit
def _meet(
    q, key_at, value_at, place, position, length, top, total, mixture, scale, column,
    WIDTH: tl.constexpr, PADDED: tl.constexpr, CAUSAL: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """The running maximum, sum and mixture of a tile of rows after one more tile of keys."""
    alive = place < length
    k = _read(key_at, alive, column, WIDTH, PADDED, not MASKED)
    scores = _scores(q, k)
    if MASKED:
        seen = alive[None, :]
        if CAUSAL:
            seen = seen & (place[None, :] <= position[:, None])
        scores = tl.where(seen, scores, float("-inf"))
    higher = tl.maximum(top, tl.max(scores, 1) * scale)
    weights = tl.exp2(scores * scale - higher[:, None])
    fade = tl.exp2(top - higher)
    v = _read(value_at, alive, column, WIDTH, PADDED, not MASKED)
    mixture = tl.dot(weights.to(v.dtype), v, mixture * fade[:, None], input_precision="ieee")
    return higher, total * fade + tl.sum(weights, 1), mixture


@triton.jit
def _keys_to_see(first, length, PLACES: tl.constexpr, KEYS: tl.constexpr, CAUSAL: tl.constexpr, SPLIT: tl.constexpr):
    """Up to which key a tile of rows needs no mask, and up to which it looks."""
    last = length
    whole = length // KEYS * KEYS
    if CAUSAL:
        last = tl.minimum(first + PLACES, length)
        whole = (first + 1) // KEYS * KEYS
    if not SPLIT:
        whole = 0
    return whole, last


@triton.jit(do_not_specialize=["segments", "tokens"])
def _mix(
    query, key, value, mixed, sums, ends, segments, tokens, query_stride, key_stride, value_stride, soft,
    HEADS: tl.constexpr, GROUP: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr, BOUNDS: tl.constexpr,
    CAUSAL: tl.constexpr, SPLIT: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):  # fmt: skip
    PLACES: tl.constexpr = ROWS // GROUP
    tile = tl.num_programs(0) - 1 - tl.program_id(0)
    segment, start, length, first = _find(ends, segments, tokens, tile, PLACES, BOUNDS)
    if first >= length:
        return
    row, column = tl.arange(0, ROWS), tl.arange(0, PADDED)
    position, head = first + row // GROUP, tl.program_id(1) * GROUP + row % GROUP
    alive = (position < length) & (row < PLACES * GROUP)
    there = alive[:, None] & (column < WIDTH)[None, :]
    even = (position * HEADS * WIDTH + head * WIDTH)[:, None] + column[None, :]
    mixed += start * HEADS * WIDTH
    beside = head.to(tl.int64) * tokens + start + position
    mixture = tl.zeros([ROWS, PADDED], tl.float32)
    if segment == segments:
        tl.store(mixed + even, mixture.to(mixed.dtype.element_ty), there)
        tl.store(sums + beside, tl.zeros([ROWS], tl.float32), alive)
        return
    query_at = query + start * query_stride + (position * query_stride + head * WIDTH)[:, None] + column[None, :]
    q = _read(query_at, alive, column, WIDTH, PADDED, False)
    across = tl.arange(0, KEYS)
    offset = tl.program_id(1) * WIDTH + column[None, :]
    key_at = key + start * key_stride + (across * key_stride)[:, None] + offset
    value_at = value + start * value_stride + (across * value_stride)[:, None] + offset
    scale = soft * LOG2_E
    top, total = tl.full([ROWS], float("-inf"), tl.float32), tl.zeros([ROWS], tl.float32)
    whole, last = _keys_to_see(first, length, PLACES, KEYS, CAUSAL, SPLIT)
    if SPLIT:
        for place in range(0, whole, KEYS):
            top, total, mixture = _meet(
                q, key_at + place * key_stride, value_at + place * value_stride, place + across, position, length,
                top, total, mixture, scale, column, WIDTH, PADDED, CAUSAL, False,
            )  # fmt: skip
    for place in range(whole, last, KEYS):
        top, total, mixture = _meet(
            q, key_at + place * key_stride, value_at + place * value_stride, place + across, position, length,
            top, total, mixture, scale, column, WIDTH, PADDED, CAUSAL, True,
        )  # fmt: skip
    tl.store(mixed + even, (mixture / total[:, None]).to(mixed.dtype.element_ty), there)
    tl.store(sums + beside, top + tl.log2(total), alive)


@triton.jit
def _lean_queries(
    q, do, total, along, dq, key_at, value_at, place, position, length, scale, column,
    WIDTH: tl.constexpr, PADDED: tl.constexpr, CAUSAL: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """The slope of a tile of queries after one more tile of keys."""
    alive = place < length
    k = _read(key_at, alive, column, WIDTH, PADDED, not MASKED)
    weights = tl.exp2(_scores(q, k) * scale - total[:, None])
    if MASKED:
        seen = alive[None, :]
        if CAUSAL:
            seen = seen & (place[None, :] <= position[:, None])
        weights = tl.where(seen, weights, 0.0)
    v = _read(value_at, alive, column, WIDTH, PADDED, not MASKED)
    lean = weights * (_scores(do, v) - along[:, None])
    return tl.dot(lean.to(k.dtype), k, dq, input_precision="ieee")


@triton.jit(do_not_specialize=["segments", "tokens"])
def _slope_queries(
    slope, query, key, value, mixed, sums, along, dquery, ends, segments, tokens,
    slope_stride, query_stride, key_stride, value_stride, soft,
    HEADS: tl.constexpr, GROUP: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr, BOUNDS: tl.constexpr,
    CAUSAL: tl.constexpr, SPLIT: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):  # fmt: skip
    PLACES: tl.constexpr = ROWS // GROUP
    tile = tl.num_programs(0) - 1 - tl.program_id(0)
    segment, start, length, first = _find(ends, segments, tokens, tile, PLACES, BOUNDS)
    if first >= length:
        return
    row, column = tl.arange(0, ROWS), tl.arange(0, PADDED)
    position, head = first + row // GROUP, tl.program_id(1) * GROUP + row % GROUP
    alive = (position < length) & (row < PLACES * GROUP)
    there = alive[:, None] & (column < WIDTH)[None, :]
    even = (position * HEADS * WIDTH + head * WIDTH)[:, None] + column[None, :]
    beside = head.to(tl.int64) * tokens + start + position
    dquery += start * HEADS * WIDTH
    dq = tl.zeros([ROWS, PADDED], tl.float32)
    if segment == segments:
        tl.store(dquery + even, dq.to(dquery.dtype.element_ty), there)
        tl.store(along + beside, tl.zeros([ROWS], tl.float32), alive)
        return
    query_at = query + start * query_stride + (position * query_stride + head * WIDTH)[:, None] + column[None, :]
    slope_at = slope + start * slope_stride + (position * slope_stride + head * WIDTH)[:, None] + column[None, :]
    do = _read(slope_at, alive, column, WIDTH, PADDED, False)
    mixture = _read(mixed + start * HEADS * WIDTH + even, alive, column, WIDTH, PADDED, False)
    shared = tl.sum(do.to(tl.float32) * mixture.to(tl.float32), 1)
    tl.store(along + beside, shared, alive)
    q = _read(query_at, alive, column, WIDTH, PADDED, False)
    total = tl.load(sums + beside, alive, other=float("inf"))
    across = tl.arange(0, KEYS)
    offset = tl.program_id(1) * WIDTH + column[None, :]
    key_at = key + start * key_stride + (across * key_stride)[:, None] + offset
    value_at = value + start * value_stride + (across * value_stride)[:, None] + offset
    scale = soft * LOG2_E
    whole, last = _keys_to_see(first, length, PLACES, KEYS, CAUSAL, SPLIT)
    if SPLIT:
        for place in range(0, whole, KEYS):
            dq = _lean_queries(
                q, do, total, shared, dq, key_at + place * key_stride, value_at + place * value_stride,
                place + across, position, length, scale, column, WIDTH, PADDED, CAUSAL, False,
            )  # fmt: skip
    for place in range(whole, last, KEYS):
        dq = _lean_queries(
            q, do, total, shared, dq, key_at + place * key_stride, value_at + place * value_stride,
            place + across, position, length, scale, column, WIDTH, PADDED, CAUSAL, True,
        )  # fmt: skip
    tl.store(dquery + even, (dq * soft).to(dquery.dtype.element_ty), there)


@triton.jit
def _lean_keys(
    k, v, dk, dv, query_at, slope_at, sums_at, along_at, first, across, position, length, scale, column, in_tile,
    WIDTH: tl.constexpr, PADDED: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """The slopes of a tile of keys and values after one more tile of rows; rows past the end weigh exp2(-inf)."""
    alive = (position < length) & in_tile
    q = _read(query_at, alive, column, WIDTH, PADDED, False)
    total = tl.load(sums_at, alive, other=float("inf"))
    weights = tl.exp2(_scores(k, q) * scale - total[None, :])
    if MASKED:
        weights = tl.where((first + across)[:, None] <= position[None, :], weights, 0.0)
    do = _read(slope_at, alive, column, WIDTH, PADDED, False)
    dv = tl.dot(weights.to(do.dtype), do, dv, input_precision="ieee")
    shared = tl.load(along_at, alive, other=0.0)
    lean = weights * (_scores(v, do) - shared[None, :])
    dk = tl.dot(lean.to(q.dtype), q, dk, input_precision="ieee")
    return dk, dv


@triton.jit(do_not_specialize=["segments", "tokens"])
def _slope_keys(
    slope, query, key, value, sums, along, dkey, dvalue, ends, segments, tokens,
    slope_stride, query_stride, key_stride, value_stride, soft,
    HEADS: tl.constexpr, GROUP: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr, BOUNDS: tl.constexpr,
    CAUSAL: tl.constexpr, SPLIT: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):  # fmt: skip
    PLACES: tl.constexpr = ROWS // GROUP
    segment, start, length, first = _find(ends, segments, tokens, tl.program_id(0), KEYS, BOUNDS)
    if first >= length:
        return
    row, across, column = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, PADDED)
    kept = first + across < length
    there = kept[:, None] & (column < WIDTH)[None, :]
    groups: tl.constexpr = HEADS // GROUP
    offset = tl.program_id(1) * WIDTH + column[None, :]
    even = (across * groups * WIDTH)[:, None] + offset
    dkey += (start + first) * groups * WIDTH
    dvalue += (start + first) * groups * WIDTH
    dk, dv = tl.zeros([KEYS, PADDED], tl.float32), tl.zeros([KEYS, PADDED], tl.float32)
    if segment == segments:
        tl.store(dkey + even, dk.to(dkey.dtype.element_ty), there)
        tl.store(dvalue + even, dv.to(dvalue.dtype.element_ty), there)
        return
    key_at = key + (start + first) * key_stride + (across * key_stride)[:, None] + offset
    value_at = value + (start + first) * value_stride + (across * value_stride)[:, None] + offset
    k = _read(key_at, kept, column, WIDTH, PADDED, False)
    v = _read(value_at, kept, column, WIDTH, PADDED, False)
    step, head = row // GROUP, tl.program_id(1) * GROUP + row % GROUP
    in_tile = row < PLACES * GROUP
    query_at = query + start * query_stride + (step * query_stride + head * WIDTH)[:, None] + column[None, :]
    slope_at = slope + start * slope_stride + (step * slope_stride + head * WIDTH)[:, None] + column[None, :]
    beside = head.to(tl.int64) * tokens + start + step
    scale = soft * LOG2_E
    begin, clear = 0, 0
    if CAUSAL:
        begin, clear = first, length
        if SPLIT:
            clear = tl.minimum(first + (KEYS + PLACES - 1) // PLACES * PLACES, length)
        for place in range(begin, clear, PLACES):
            dk, dv = _lean_keys(
                k, v, dk, dv, query_at + place * query_stride, slope_at + place * slope_stride, sums + beside + place,
                along + beside + place, first, across, place + step, length, scale, column, in_tile,
                WIDTH, PADDED, True,
            )  # fmt: skip
    if SPLIT or not CAUSAL:
        for place in range(clear, length, PLACES):
            dk, dv = _lean_keys(
                k, v, dk, dv, query_at + place * query_stride, slope_at + place * slope_stride, sums + beside + place,
                along + beside + place, first, across, place + step, length, scale, column, in_tile,
                WIDTH, PADDED, False,
            )  # fmt: skip
    tl.store(dkey + even, (dk * soft).to(dkey.dtype.element_ty), there)
    tl.store(dvalue + even, dv.to(dvalue.dtype.element_ty), there)
