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
    """How a kernel is cut: rows (places x heads) and keys of a tile.

    Rows, keys: powers of two of at least 16, and no fewer rows than query heads share a key head. `registers` of a
    thread, at the most: fewer let more tiles run side by side. `form` says where masks are laid: `split` runs full
    tiles in a loop of their own without masks; `masked` has one loop and masks every tile; `branch` has one loop and
    asks in it whether the tile needs a mask.
    """

    rows: int
    keys: int
    warps: int
    stages: int
    form: str = "split"
    registers: int | None = None

    def cut(self) -> dict[str, int | bool]:
        masks = {"SPLIT": True} if self.form == "split" else {"BRANCH": self.form == "branch"}
        return {"ROWS": self.rows, "KEYS": self.keys, **masks}

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
        what was mixed, [T, H, D], and float32 [G, T, H / G]: log2 of the sum of exp(score) over a row's keys, which
        `backward` needs. Both are 0 in tokens after the last segment.
    """
    query, key, value = _rows_of_heads(query), _rows_of_heads(key), _rows_of_heads(value)
    tokens, heads, width = query.shape
    mixed = query.new_empty(tokens, heads, width)
    blocks = blocks or choose_blocks("forward", query, causal)
    shape = _Shape.of(query, key, ends)
    sums = torch.empty(key.shape[1], tokens, shape.group, dtype=torch.float32, device=query.device)
    kernel = _mix if blocks.form == "split" else _mix_once
    kernel[(shape.tiles(blocks.rows // shape.group), key.shape[1])](
        query, key, value, mixed, sums, ends, shape.segments, tokens,
        query.stride(0), key.stride(0), value.stride(0), width**-0.5,
        **shape.fixed, CAUSAL=causal, **blocks.cut(), **blocks.launch(),
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
    lean_blocks: Blocks | None = None,
    longest: int | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The slopes of query, key and value from that of `mixed`; `mixed` and `sums` are what `forward` gave.

    With `lean_blocks` (and causal) the kernel of the keys keeps the slopes of the scores and that of the queries is
    made from them; `longest` is then an upper bound of a segment's length.
    """
    query, key, value = _rows_of_heads(query), _rows_of_heads(key), _rows_of_heads(value)
    slope, mixed = _rows_of_heads(slope.to(query.dtype)), mixed.contiguous()
    if lean_blocks is not None and longest is not None:
        along = slope_along(slope, mixed, key.shape[1])
        leans = room_for_leans(query, key, ends, longest, lean_blocks.keys)
        dkey, dvalue = slope_of_keys(
            slope, query, key, value, along, sums, ends, causal=True, blocks=key_blocks, leans=leans
        )
        return slope_from_leans(query, key, leans, ends, lean_blocks), dkey, dvalue
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
    kernel = _slope_queries if blocks.form == "split" else _slope_queries_once
    kernel[(shape.tiles(blocks.rows // shape.group), key.shape[1])](
        slope, query, key, value, mixed, sums, along, dquery, ends, shape.segments, tokens,
        slope.stride(0), query.stride(0), key.stride(0), value.stride(0), width**-0.5,
        **shape.fixed, CAUSAL=causal, **blocks.cut(), **blocks.launch(),
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
    leans: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The slopes of `key` and `value`; `along` as `slope_of_queries` or `slope_along` gave it.

    `leans`, if given (by `room_for_leans`), receives the slopes of the scores, for `slope_from_leans`.
    """
    tokens, groups, width = key.shape
    dkey, dvalue = key.new_empty(tokens, groups, width), value.new_empty(tokens, groups, width)
    blocks = blocks or choose_blocks("keys", query, causal)
    shape = _Shape.of(query, key, ends)
    if blocks.form == "split":
        _slope_keys[(shape.tiles(blocks.keys), groups)](
            slope, query, key, value, sums, along, dkey, dvalue, ends, shape.segments, tokens,
            slope.stride(0), query.stride(0), key.stride(0), value.stride(0), width**-0.5,
            **shape.fixed, CAUSAL=causal, **blocks.cut(), **blocks.launch(),
        )  # fmt: skip
    else:
        _slope_keys_once[(shape.tiles(blocks.keys), groups)](
            slope, query, key, value, sums, along, dkey, dvalue, key if leans is None else leans, ends,
            shape.segments, tokens, slope.stride(0), query.stride(0), key.stride(0), value.stride(0), width**-0.5,
            **shape.fixed, CAUSAL=causal, LEAN=leans is not None, **blocks.cut(), **blocks.launch(),
        )  # fmt: skip
    return dkey, dvalue


def room_for_leans(query: Tensor, key: Tensor, ends: Tensor, longest: int, keys: int) -> Tensor:
    """Room for the slopes of all causal scores, where no segment is longer than `longest`; keys: of a tile.

    A block of 16 places is seen by the tiles of keys up to its own; a segment has one partly filled block.
    """
    shape = _Shape.of(query, key, ends)
    blocks = shape.tokens // 16 + shape.segments
    seen = blocks + blocks * ((longest + 15) // 16 - 1) * 8 // keys
    return query.new_empty(seen * 16 * keys * query.shape[1])


def slope_along(slope: Tensor, mixed: Tensor, groups: int) -> Tensor:
    """float32 [G, T, H / G]: the sum of slope x mixed over a head's width."""
    tokens, heads, width = mixed.shape
    along = torch.empty(groups, tokens, heads // groups, dtype=torch.float32, device=mixed.device)
    padded = max(16, triton.next_power_of_2(width))
    _along[(triton.cdiv(tokens * heads, 64),)](
        slope, mixed, along, tokens, slope.stride(0),
        HEADS=heads, GROUP=heads // groups, WIDTH=width, PADDED=padded, ROWS=64,
    )  # fmt: skip
    return along


def slope_from_leans(query: Tensor, key: Tensor, leans: Tensor, ends: Tensor, blocks: Blocks) -> Tensor:
    """The slope of `query` from what `slope_of_keys` left in `leans`; blocks: as many keys a tile as there."""
    tokens, heads, width = query.shape
    dquery = query.new_empty(tokens, heads, width)
    shape = _Shape.of(query, key, ends)
    _slope_from_leans[(shape.tiles(blocks.rows // shape.group), key.shape[1])](
        leans, key, dquery, ends, shape.segments, tokens, key.stride(0), width**-0.5,
        **shape.fixed, ROWS=blocks.rows, KEYS=blocks.keys, **blocks.launch(),
    )  # fmt: skip
    return dquery


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
    beside = (tl.program_id(1).to(tl.int64) * tokens + start + position) * GROUP + row % GROUP
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
    beside = (tl.program_id(1).to(tl.int64) * tokens + start + position) * GROUP + row % GROUP
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
    beside = (tl.program_id(1).to(tl.int64) * tokens + start + step) * GROUP + row % GROUP
    scale = soft * LOG2_E
    begin, clear = 0, 0
    if CAUSAL:
        begin, clear = first, length
        if SPLIT:
            clear = tl.minimum(first + (KEYS + PLACES - 1) // PLACES * PLACES, length)
        for place in range(begin, clear, PLACES):
            dk, dv = _lean_keys(
                k, v, dk, dv, query_at + place * query_stride, slope_at + place * slope_stride,
                sums + beside + place * GROUP, along + beside + place * GROUP, first, across, place + step, length,
                scale, column, in_tile, WIDTH, PADDED, True,
            )  # fmt: skip
    if SPLIT or not CAUSAL:
        for place in range(clear, length, PLACES):
            dk, dv = _lean_keys(
                k, v, dk, dv, query_at + place * query_stride, slope_at + place * slope_stride,
                sums + beside + place * GROUP, along + beside + place * GROUP, first, across, place + step, length,
                scale, column, in_tile, WIDTH, PADDED, False,
            )  # fmt: skip
    tl.store(dkey + even, (dk * soft).to(dkey.dtype.element_ty), there)
    tl.store(dvalue + even, dv.to(dvalue.dtype.element_ty), there)


@triton.jit
def _tile(ends, segments, tokens, tile, PLACES: tl.constexpr, BOUNDS: tl.constexpr):
    """`_find` with one load: what a tile waits for before it can read anything else."""
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
def _unmask(
    x, other, place, across, position, length, clear,
    KEYS: tl.constexpr, CAUSAL: tl.constexpr, BRANCH: tl.constexpr,
):  # fmt: skip
    """x [rows, keys], `other` where a row doesn't see a key. BRANCH: only in tiles that reach beyond key `clear`."""
    if BRANCH:
        if place + KEYS > clear:
            x = tl.where(_seen(place + across, position, length, CAUSAL), x, other)
    else:
        x = tl.where(_seen(place + across, position, length, CAUSAL), x, other)
    return x


@triton.jit
def _seen(place, position, length, CAUSAL: tl.constexpr):
    seen = (place < length)[None, :]
    if CAUSAL:
        seen = place[None, :] <= position[:, None]
    return seen


@triton.jit(do_not_specialize=["segments", "tokens"])
def _mix_once(
    query, key, value, mixed, sums, ends, segments, tokens,
    query_stride: tl.constexpr, key_stride: tl.constexpr, value_stride: tl.constexpr, soft,
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
    even = (row // GROUP * HEADS * WIDTH + row % GROUP * WIDTH)[:, None] + column[None, :]
    mixed += (start + first) * HEADS * WIDTH + group * GROUP * WIDTH
    sums += (group.to(tl.int64) * tokens + start + first) * GROUP
    mixture = tl.zeros([ROWS, PADDED], tl.float32)
    if segment == segments:
        tl.store(mixed + even, mixture.to(mixed.dtype.element_ty), there)
        tl.store(sums + row, tl.zeros([ROWS], tl.float32), alive)
        return
    query += (start + first) * query_stride + group * GROUP * WIDTH
    apart = (row // GROUP * query_stride + row % GROUP * WIDTH)[:, None] + column[None, :]
    q = _read(query + apart, alive, column, WIDTH, PADDED, False)
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
        k = _read(key + place * key_stride + key_apart, kept, column, WIDTH, PADDED, False)
        scores = _unmask(
            _scores(q, k), float("-inf"), place, across, position, length, clear, KEYS, CAUSAL, BRANCH
        )  # fmt: skip
        higher = tl.maximum(top, tl.max(scores, 1) * scale)
        weights = tl.exp2(scores * scale - higher[:, None])
        fade = tl.exp2(top - higher)
        v = _read(value + place * value_stride + value_apart, kept, column, WIDTH, PADDED, False)
        mixture = tl.dot(weights.to(v.dtype), v, mixture * fade[:, None], input_precision="ieee")
        total = total * fade + tl.sum(weights, 1)
        top = higher
    tl.store(mixed + even, (mixture / total[:, None]).to(mixed.dtype.element_ty), there)
    tl.store(sums + row, top + tl.log2(total), alive)


@triton.jit(do_not_specialize=["segments", "tokens"])
def _slope_queries_once(
    slope, query, key, value, mixed, sums, along, dquery, ends, segments, tokens,
    slope_stride: tl.constexpr, query_stride: tl.constexpr, key_stride: tl.constexpr, value_stride: tl.constexpr, soft,
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
    step, head = row // GROUP, row % GROUP
    even = (step * HEADS * WIDTH + head * WIDTH)[:, None] + column[None, :]
    dquery += (start + first) * HEADS * WIDTH + group * GROUP * WIDTH
    beside = (group.to(tl.int64) * tokens + start + first) * GROUP
    dq = tl.zeros([ROWS, PADDED], tl.float32)
    if segment == segments:
        tl.store(dquery + even, dq.to(dquery.dtype.element_ty), there)
        tl.store(along + beside + row, tl.zeros([ROWS], tl.float32), alive)
        return
    slope += (start + first) * slope_stride + group * GROUP * WIDTH
    slope_apart = (step * slope_stride + head * WIDTH)[:, None] + column[None, :]
    do = _read(slope + slope_apart, alive, column, WIDTH, PADDED, False)
    mixed += (start + first) * HEADS * WIDTH + group * GROUP * WIDTH
    mixture = _read(mixed + even, alive, column, WIDTH, PADDED, False)
    query += (start + first) * query_stride + group * GROUP * WIDTH
    query_apart = (step * query_stride + head * WIDTH)[:, None] + column[None, :]
    q = _read(query + query_apart, alive, column, WIDTH, PADDED, False)
    total = tl.load(sums + beside + row, alive, other=0.0)
    shared = tl.sum(do.to(tl.float32) * mixture.to(tl.float32), 1)
    tl.store(along + beside + row, shared, alive)
    key += start * key_stride + group * WIDTH
    value += start * value_stride + group * WIDTH
    key_apart = (across * key_stride)[:, None] + column[None, :]
    value_apart = (across * value_stride)[:, None] + column[None, :]
    scale = soft * LOG2_E
    position = first + step
    last, clear = length, length
    if CAUSAL:
        last, clear = tl.minimum(first + PLACES, length), first + 1
    for place in range(0, last, KEYS):
        kept = across < length - place
        k = _read(key + place * key_stride + key_apart, kept, column, WIDTH, PADDED, False)
        v = _read(value + place * value_stride + value_apart, kept, column, WIDTH, PADDED, False)
        weights = tl.exp2(_scores(q, k) * scale - total[:, None])
        weights = _unmask(weights, 0.0, place, across, position, length, clear, KEYS, CAUSAL, BRANCH)
        lean = weights * (_scores(do, v) - shared[:, None])
        dq = tl.dot(lean.to(k.dtype), k, dq, input_precision="ieee")
    tl.store(dquery + even, (dq * soft).to(dquery.dtype.element_ty), there)


@triton.jit
def _slab(ends, segments, segment, length, KEYS: tl.constexpr, BOUNDS: tl.constexpr):
    """Where a segment's lean tiles begin, in blocks of 16 places x KEYS, and how many blocks long the segment is.

    A tile of keys keeps a slab: its keys x the places from its first key on, up to a whole block.
    """
    index = tl.arange(0, BOUNDS)
    lengths = tl.load(ends + index + 1, index < segment, other=0) - tl.load(ends + index, index < segment, other=0)
    tiles, blocks = (lengths + KEYS - 1) // KEYS, (lengths + 15) // 16
    return tl.sum(_blocks_before(blocks, tiles, KEYS)), (length + 15) // 16


@triton.jit
def _blocks_before(blocks, tile, KEYS: tl.constexpr):
    return tile * blocks - KEYS // 16 * (tile * (tile - 1) // 2)


@triton.jit(do_not_specialize=["segments", "tokens"])
def _slope_keys_once(
    slope, query, key, value, sums, along, dkey, dvalue, leans, ends, segments, tokens,
    slope_stride: tl.constexpr, query_stride: tl.constexpr, key_stride: tl.constexpr, value_stride: tl.constexpr, soft,
    HEADS: tl.constexpr, GROUP: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr, BOUNDS: tl.constexpr,
    CAUSAL: tl.constexpr, BRANCH: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, LEAN: tl.constexpr,
):  # fmt: skip
    """One loop, for with two the compiler lets each product wait for the one before it."""
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
    k = _read(key + (across * key_stride)[:, None] + column[None, :], kept, column, WIDTH, PADDED, False)
    v = _read(value + (across * value_stride)[:, None] + column[None, :], kept, column, WIDTH, PADDED, False)
    begin = 0
    if CAUSAL:
        begin = first
    step, head = row // GROUP, row % GROUP
    query += start * query_stride + group * GROUP * WIDTH
    slope += start * slope_stride + group * GROUP * WIDTH
    query_apart = (step * query_stride + head * WIDTH)[:, None] + column[None, :]
    slope_apart = (step * slope_stride + head * WIDTH)[:, None] + column[None, :]
    beside = (group.to(tl.int64) * tokens + start) * GROUP
    sums += beside
    along += beside
    scale = soft * LOG2_E
    pitch = 0
    if LEAN:
        before, blocks = _slab(ends, segments, segment, length, KEYS, BOUNDS)
        before += _blocks_before(blocks, first // KEYS, KEYS)
        pitch = (blocks - first // 16) * (16 * GROUP)
        leans += before.to(tl.int64) * (16 * GROUP * KEYS * GROUPS) + group * KEYS * pitch
    for place in range(begin, length, PLACES):
        alive = _alive(row, length - place, ROWS, GROUP)
        q = _read(query + place * query_stride + query_apart, alive, column, WIDTH, PADDED, False)
        total = tl.load(sums + place * GROUP + row, alive, other=0.0)
        do = _read(slope + place * slope_stride + slope_apart, alive, column, WIDTH, PADDED, False)
        shared = tl.load(along + place * GROUP + row, alive, other=0.0)
        weights = tl.exp2(_scores(k, q) * scale - total[None, :])
        if CAUSAL:
            if BRANCH:
                if place < first + KEYS - 1:
                    weights = tl.where((first + across)[:, None] <= (place + step)[None, :], weights, 0.0)
            else:
                weights = tl.where((first + across)[:, None] <= (place + step)[None, :], weights, 0.0)
        dv = tl.dot(weights.to(do.dtype), do, dv, input_precision="ieee")
        lean = (weights * (_scores(v, do) - shared[None, :])).to(q.dtype)
        dk = tl.dot(lean, q, dk, input_precision="ieee")
        if LEAN:
            at = (place - first) * GROUP + row
            inside = at < pitch
            if PLACES * GROUP < ROWS:
                inside = inside & (row < PLACES * GROUP)
            tl.store(leans + (across * pitch)[:, None] + at[None, :], lean, inside[None, :])
    tl.store(dkey + even, (dk * soft).to(dkey.dtype.element_ty), there)
    tl.store(dvalue + even, dv.to(dvalue.dtype.element_ty), there)


@triton.jit(do_not_specialize=["segments", "tokens"])
def _slope_from_leans(
    leans, key, dquery, ends, segments, tokens, key_stride: tl.constexpr, soft,
    HEADS: tl.constexpr, GROUP: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr, BOUNDS: tl.constexpr,
    ROWS: tl.constexpr, KEYS: tl.constexpr,
):  # fmt: skip
    PLACES: tl.constexpr = ROWS // GROUP
    GROUPS: tl.constexpr = HEADS // GROUP
    tile = tl.num_programs(0) - 1 - tl.program_id(0)
    segment, start, length, first = _tile(ends, segments, tokens, tile, PLACES, BOUNDS)
    if first >= length:
        return
    group = tl.program_id(1)
    row, across, column = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, PADDED)
    alive = _alive(row, length - first, ROWS, GROUP)
    there = alive[:, None] & (column < WIDTH)[None, :]
    even = (row // GROUP * HEADS * WIDTH + row % GROUP * WIDTH)[:, None] + column[None, :]
    dquery += (start + first) * HEADS * WIDTH + group * GROUP * WIDTH
    dq = tl.zeros([ROWS, PADDED], tl.float32)
    if segment == segments:
        tl.store(dquery + even, dq.to(dquery.dtype.element_ty), there)
        return
    key += start * key_stride + group * WIDTH
    key_apart = (across * key_stride)[:, None] + column[None, :]
    before, blocks = _slab(ends, segments, segment, length, KEYS, BOUNDS)
    leans += before.to(tl.int64) * (16 * GROUP * KEYS * GROUPS)
    for place in range(0, tl.minimum(first + PLACES, length), KEYS):
        k = _read(key + place * key_stride + key_apart, across < length - place, column, WIDTH, PADDED, False)
        pitch = (blocks - place // 16) * (16 * GROUP)
        slab = _blocks_before(blocks, place // KEYS, KEYS) * (16 * GROUP * KEYS * GROUPS) + group * KEYS * pitch
        at = (first - place) * GROUP + row
        inside = at < pitch
        if KEYS % PLACES != 0 or PLACES * GROUP < ROWS:
            inside = inside & (at >= 0) & (row < PLACES * GROUP)
        lean = tl.load(leans + slab + (across * pitch)[:, None] + at[None, :], inside[None, :], other=0.0)
        dq = tl.dot(tl.trans(lean), k, dq, input_precision="ieee")
    tl.store(dquery + even, (dq * soft).to(dquery.dtype.element_ty), there)


@triton.jit(do_not_specialize=["tokens"])
def _along(
    slope, mixed, along, tokens, slope_stride: tl.constexpr,
    HEADS: tl.constexpr, GROUP: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    row, column = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS), tl.arange(0, PADDED)
    token, head = row // HEADS, row % HEADS
    alive = token < tokens
    do = _read(
        slope + (token * slope_stride + head * WIDTH)[:, None] + column[None, :], alive, column, WIDTH, PADDED, False
    )
    mixture = _read(mixed + (row * WIDTH)[:, None] + column[None, :], alive, column, WIDTH, PADDED, False)
    shared = tl.sum(do.to(tl.float32) * mixture.to(tl.float32), 1)
    tl.store(along + (head // GROUP * tokens + token) * GROUP + head % GROUP, shared, alive)
