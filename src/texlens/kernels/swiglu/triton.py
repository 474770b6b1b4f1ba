"""SwiGLU and its slope as Triton kernels, with the adapters' thin products made from the numbers while they are there.

Separate passes (`triton_passes`) leave the activation and the slope of gate and up in memory, where adapters read them
again. Here gate, up and the activation's slope are read once: a program takes some columns and a run of rows, keeps the
adapters' slopes for these columns in registers, and leaves its share of its rows' thin products. Small kernels sum the
shares (`triton_shares`), without atomics: equal runs, equal numbers.

In 8 bits the rows' largest numbers are found on the way, and a second kernel makes the same numbers again and codes
them, so that the activation and the slope of gate and up never stand in memory in 16 bits.

# T = tokens, F = width of the MLP, R = ranks of adapters side by side, P = pieces whose shares are summed
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from texlens.kernels.elementwise.triton import INTERPRETED, activated, leaned
from texlens.kernels.fp8.format import CODE, room_for
from texlens.kernels.fp8.triton import code, magnitude
from texlens.kernels.split_k import Parts, padded, sum_chunks, sum_shares


class Cut(NamedTuple):
    """How a fused pass is cut.

    Args:
        rows, columns: of a tile, powers of two of at least 16.
        run: rows (going back) or columns (going forward) that a program takes, tile by tile.
        tall: products with the tile at the left, else with the thin side there.
        shares: the thin products of gate's and up's slopes as sums of shares, else as one product more over these
            slopes; in 8 bits always as shares.
        registers: of a thread, at the most: fewer let more programs run side by side.
    """

    rows: int
    columns: int
    run: int
    warps: int
    stages: int
    tall: bool = False
    shares: bool = True
    registers: int | None = None

    def launch(self) -> dict[str, int]:
        limits = {} if self.registers is None else {"maxnreg": self.registers}
        return {"num_warps": self.warps, "num_stages": self.stages, **limits}


_CUTS = {
    ("forward", "bordered"): Cut(16, 256, 2560, 4, 3),
    ("forward", "coded"): Cut(32, 128, 2560, 4, 3),
    ("back", "bordered"): Cut(32, 128, 1024, 8, 3, True, False),
    ("back", "coded"): Cut(32, 64, 1024, 2, 3, True),
}


def choose_cut(part: str, form: str, dtype: torch.dtype) -> Cut:
    """The way a kernel is cut; `part`: forward or back, `form`: bordered or coded."""
    return Cut(16, 32, 64, 4, 1) if dtype == torch.float32 else _CUTS[part, form]


def swiglu_bordered(wide: Tensor, down: Tensor, cut: Cut | None = None) -> tuple[Tensor, Tensor]:
    """act = swiglu(wide) with act @ down.T in its border, [T, F + R], and the latter once more, [T, R]; down [R, F]."""
    tokens, width = wide.shape[0], wide.shape[1] // 2
    act = wide.new_empty(tokens, width + len(down))
    shares, _ = _activate(wide, down, act, cut or choose_cut("forward", "bordered", wide.dtype))
    return act, sum_shares(shares, len(down), wide.dtype, border=act)


def swiglu_coded(
    wide: Tensor, down: Tensor, gain: Tensor, cut: Cut | None = None
) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """`fp8.quantize_rows` of act = swiglu(wide) with act @ down.T times `gain` beside it, and act @ down.T [T, R]."""
    tokens, width = wide.shape[0], wide.shape[1] // 2
    shares, largest = _activate(wide, down, None, cut or choose_cut("forward", "coded", wide.dtype))
    codes, scale = _room_for_codes(wide, width, len(down))
    thin = sum_shares(shares, len(down), wide.dtype, codes=(codes, scale, largest, gain))
    _act_codes[(tokens, triton.cdiv(width, _COLUMNS))](wide, scale, codes, width, codes.stride(0), BLOCK=_COLUMNS)
    return (codes, scale), thin


def back_bordered(
    dact: Tensor,
    wide: Tensor,
    thin: Tensor,
    dthin: Tensor | None,
    up: Tensor,
    adapters: Sequence[Any],
    cut: Cut | None = None,
) -> tuple[Tensor, Tensor, tuple[Tensor, ...], Tensor | None]:
    """From the slope of swiglu(wide), [T, F], with all that the adapters of both sides need of it.

    Args:
        thin: [T, R], gate's and up's thin product of the forward pass; `up` [2F, R] and `adapters` are theirs.
        dthin: [T, R'], the slope of the down projection's thin product, if it is adapted.

    Returns:
        the slope of gate and up [T, 2F + R], that slope @ up in its border; the latter once more, [T, R]; in float32
        the slopes of each adapter's `up` and of the down projection's `down` [R', F], if it is adapted.
    """
    cut = cut or choose_cut("back", "bordered", wide.dtype)
    tokens, height = wide.shape
    dwide = wide.new_empty(tokens, height + up.shape[1])
    slopes, shares, _ = _lean(dact, wide, thin, dthin, up, adapters, dwide, cut)
    if cut.shares:
        dthin_wide = sum_shares(shares, adapters[-1].columns.stop, wide.dtype, border=dwide)
    else:
        dthin_wide = torch.mm(dwide[:, :height], up)
        dwide[:, height:] = dthin_wide
    return dwide, dthin_wide, *slopes


def back_coded(
    dact: Tensor,
    wide: Tensor,
    thin: Tensor,
    dthin: Tensor | None,
    up: Tensor,
    adapters: Sequence[Any],
    gain: Tensor,
    cut: Cut | None = None,
) -> tuple[tuple[Tensor, Tensor], Tensor, tuple[Tensor, ...], Tensor | None]:
    """`back_bordered` with rows as `fp8.quantize_rows` gives them, the thin product times `gain` beside their codes."""
    cut = cut or choose_cut("back", "coded", wide.dtype)
    tokens, height = wide.shape
    slopes, shares, largest = _lean(dact, wide, thin, dthin, up, adapters, None, cut._replace(shares=True))
    codes, scale = _room_for_codes(wide, height, up.shape[1])
    beside = codes, scale, largest, gain
    dthin_wide = sum_shares(shares, adapters[-1].columns.stop, wide.dtype, codes=beside)
    _slope_codes[(tokens, triton.cdiv(height // 2, _COLUMNS))](
        dact, wide, scale, codes, height // 2, codes.stride(0), BLOCK=_COLUMNS
    )
    return (codes, scale), dthin_wide, *slopes


_COLUMNS = 2048


def _room_for_codes(x: Tensor, width: int, ranks: int) -> tuple[Tensor, Tensor]:
    codes = torch.empty(len(x), width + room_for(ranks), dtype=CODE, device=x.device)
    return codes, torch.empty(len(x), 1, dtype=torch.float32, device=x.device)


def _activate(wide: Tensor, down: Tensor, act: Tensor | None, cut: Cut) -> tuple[Tensor, Tensor | None]:
    """Shares [P, T, R] of act @ down.T; act itself goes into `act`, or else its rows' largest numbers are given."""
    tokens, width, ranks = len(wide), wide.shape[1] // 2, len(down)
    run = min(-(-cut.run // cut.columns), -(-width // cut.columns)) * cut.columns
    pieces = triton.cdiv(width, run)
    shares = wide.new_empty(pieces, tokens, ranks, dtype=torch.float32)
    largest = wide.new_empty(pieces, tokens, dtype=torch.int32) if act is None else None
    _act_and_shares[(pieces, triton.cdiv(tokens, cut.rows))](
        wide, down, wide if act is None else act, shares, shares if largest is None else largest, tokens,
        WIDTH=width, STRIDE=0 if act is None else act.stride(0), DOWN_STRIDE=down.stride(0),
        RANKS=ranks, PADDED=padded(ranks), STORE=act is not None,
        ROWS=cut.rows, COLUMNS=cut.columns, RUN=run, TALL=cut.tall, **cut.launch(),
    )  # fmt: skip
    return shares, largest


def _lean(dact, wide, thin, dthin, up, adapters, dwide: Tensor | None, cut: Cut):
    """Slopes of `up` and `down`, shares [P, T, R] of the thin product and, without `dwide`, rows' largest numbers."""
    tokens, width, ranks = len(wide), wide.shape[1] // 2, up.shape[1]
    parts = Parts.of(adapters, width, 0 if dthin is None else dthin.shape[1])
    blocks, chunks = triton.cdiv(width, cut.columns), triton.cdiv(tokens, cut.run)
    sums = wide.new_empty(chunks, parts.ranks, width, dtype=torch.float32)
    shares = wide.new_empty(blocks, tokens, ranks, dtype=torch.float32) if cut.shares else sums
    largest = wide.new_empty(blocks, tokens, dtype=torch.int32) if dwide is None else None
    _slopes_and_shares[(blocks, chunks)](
        dact.contiguous(), wide, thin, thin if dthin is None else dthin, up, wide if dwide is None else dwide, sums,
        shares, sums if largest is None else largest, tokens,
        WIDTH=width, STRIDE=0 if dwide is None else dwide.stride(0), THIN_STRIDE=thin.stride(0),
        DOWN_STRIDE=0 if dthin is None else dthin.stride(0), UP_STRIDE=up.stride(0), RANKS=ranks,
        **parts.sizes(), GATE_AT=parts.gate_at, UP_AT=parts.up_at,
        STORE=dwide is not None, SHARES=cut.shares, ROWS=cut.rows, COLUMNS=cut.columns, RUN=cut.run, TALL=cut.tall,
        **cut.launch(),
    )  # fmt: skip
    return sum_chunks(sums, parts, adapters), shares, largest


@triton.jit
def _settled(tile):
    """The tile; the compiler would otherwise make it anew, from the loads on, for every product that it goes into."""
    if not INTERPRETED:
        if tile.dtype.primitive_bitwidth == 16:
            tile = tl.inline_asm_elementwise("mov.b32 $0, $1;", "=r,r", [tile], tile.dtype, is_pure=False, pack=2)
        else:
            tile = tl.inline_asm_elementwise("mov.b32 $0, $1;", "=r,r", [tile], tile.dtype, is_pure=False, pack=1)
    return tile


@triton.jit
def _act_codes(wide, scale, codes, width, stride, BLOCK: tl.constexpr):
    row, place = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = place < width
    half = tl.load(wide + row * 2 * width + place, inside, other=0.0)
    up = tl.load(wide + row * 2 * width + width + place, inside, other=0.0)
    factor = tl.load(scale + row)
    tl.store(codes + row * stride + place, code(activated(half, up).to(tl.float32) / factor), inside)


@triton.jit
def _slope_codes(slope, wide, scale, codes, width, stride, BLOCK: tl.constexpr):
    row, place = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = place < width
    half = tl.load(wide + row * 2 * width + place, inside, other=0.0)
    up = tl.load(wide + row * 2 * width + width + place, inside, other=0.0)
    along = tl.load(slope + row * width + place, inside, other=0.0)
    dgate, dup, _ = leaned(along, half, up)
    dgate, dup = _settled(dgate), _settled(dup)  # so that two at a time are rounded to 16 bits, not one
    factor = tl.load(scale + row)
    tl.store(codes + row * stride + place, code(dgate.to(tl.float32) / factor), inside)
    tl.store(codes + row * stride + width + place, code(dup.to(tl.float32) / factor), inside)


@triton.jit
def _read(at, alive, there, EVEN: tl.constexpr):
    """A tile, 0 in rows that are not alive and, where they are not EVEN, in columns beyond the width."""
    return tl.load(at, alive[:, None] if EVEN else alive[:, None] & there[None, :], other=0.0)


@triton.jit
def _write(at, tile, alive, there, EVEN: tl.constexpr):
    tl.store(at, tile, alive[:, None] if EVEN else alive[:, None] & there[None, :])


@triton.jit(do_not_specialize=["tokens"])
def _act_and_shares(
    wide, down, act, shares, largest, tokens,
    WIDTH: tl.constexpr, STRIDE: tl.constexpr, DOWN_STRIDE: tl.constexpr, RANKS: tl.constexpr, PADDED: tl.constexpr,
    STORE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, RUN: tl.constexpr, TALL: tl.constexpr,
):  # fmt: skip
    EVEN: tl.constexpr = WIDTH % RUN == 0 and RUN % COLUMNS == 0
    piece, row = tl.program_id(0), tl.program_id(1).to(tl.int64) * ROWS
    step, across, rank = tl.arange(0, ROWS), tl.arange(0, COLUMNS), tl.arange(0, PADDED)
    alive, is_rank = row + step < tokens, rank < RANKS
    gate_at = wide + row * 2 * WIDTH + (step * (2 * WIDTH))[:, None] + across[None, :]
    act_at = act + row * STRIDE + (step * STRIDE)[:, None] + across[None, :]
    down_at = down + (rank * DOWN_STRIDE)[:, None] + across[None, :]
    most = tl.zeros([ROWS], tl.int32)
    thin = tl.zeros([ROWS, PADDED] if TALL else [PADDED, ROWS], tl.float32)
    first = piece * RUN
    for column in range(first, tl.minimum(first + RUN, WIDTH), COLUMNS):
        there = column + across < WIDTH
        half = _read(gate_at + column, alive, there, EVEN)
        up = _read(gate_at + WIDTH + column, alive, there, EVEN)
        tile = _settled(activated(half, up))
        side = _read(down_at + column, is_rank, there, EVEN)
        if TALL:
            thin = tl.dot(tile, tl.trans(side), thin, input_precision="ieee")
        else:
            thin = tl.dot(side, tl.trans(tile), thin, input_precision="ieee")
        if STORE:
            _write(act_at + column, tile, alive, there, EVEN)
        else:
            most = tl.maximum(most, tl.max(magnitude(tile), 1))
    beside = piece.to(tl.int64) * tokens + row + step
    if TALL:
        tl.store(shares + beside[:, None] * RANKS + rank[None, :], thin, alive[:, None] & is_rank[None, :])
    else:
        tl.store(shares + beside[None, :] * RANKS + rank[:, None], thin, alive[None, :] & is_rank[:, None])
    if not STORE:
        tl.store(largest + beside, most, alive)


@triton.jit
def _thin_rows(thin, step, alive, STRIDE: tl.constexpr, RANKS: tl.constexpr, PADDED: tl.constexpr):
    """[ROWS, PADDED] of a thin product's columns."""
    rank = tl.arange(0, PADDED)
    return tl.load(thin + (step * STRIDE)[:, None] + rank[None, :], alive[:, None] & (rank < RANKS)[None, :], other=0.0)


@triton.jit
def _along_rows(tile, thin, sums, TALL: tl.constexpr):
    """The slope of an adapter's matrix after one more tile: [COLUMNS, PADDED] where TALL, else transposed."""
    if TALL:
        sums = tl.dot(tl.trans(tile), thin, sums, input_precision="ieee")
    else:
        sums = tl.dot(tl.trans(thin), tile, sums, input_precision="ieee")
    return sums


@triton.jit
def _no_sums(COLUMNS: tl.constexpr, PADDED: tl.constexpr, TALL: tl.constexpr):
    return tl.zeros([COLUMNS, PADDED] if TALL else [PADDED, COLUMNS], tl.float32)


@triton.jit
def _keep_sums(
    to, sums, column, there, WIDTH: tl.constexpr, RANKS: tl.constexpr, PADDED: tl.constexpr, TALL: tl.constexpr
):
    rank = tl.arange(0, PADDED)
    is_rank = rank < RANKS
    if TALL:
        tl.store(to + (rank * WIDTH)[None, :] + column[:, None], sums, there[:, None] & is_rank[None, :])
    else:
        tl.store(to + (rank * WIDTH)[:, None] + column[None, :], sums, there[None, :] & is_rank[:, None])


@triton.jit
def _share_thin(tile, side, to, step, alive, STRIDE: tl.constexpr, RANKS: tl.constexpr, PADDED: tl.constexpr):
    """Writes tile @ side [ROWS, PADDED], these columns' share of the thin product."""
    rank = tl.arange(0, PADDED)
    part = tl.dot(tile, side, input_precision="ieee")
    tl.store(to + (step * STRIDE)[:, None] + rank[None, :], part, alive[:, None] & (rank < RANKS)[None, :])


@triton.jit(do_not_specialize=["tokens"])
def _slopes_and_shares(
    slope, wide, thin, dthin, up, dwide, sums, shares, largest, tokens,
    WIDTH: tl.constexpr, STRIDE: tl.constexpr, THIN_STRIDE: tl.constexpr, DOWN_STRIDE: tl.constexpr,
    UP_STRIDE: tl.constexpr, RANKS: tl.constexpr, DOWN: tl.constexpr, GATE: tl.constexpr, UP: tl.constexpr,
    GATE_AT: tl.constexpr, UP_AT: tl.constexpr, DOWN_PADDED: tl.constexpr, GATE_PADDED: tl.constexpr,
    UP_PADDED: tl.constexpr, STORE: tl.constexpr, SHARES: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, RUN: tl.constexpr, TALL: tl.constexpr,
):  # fmt: skip
    EVEN: tl.constexpr = WIDTH % COLUMNS == 0
    block, chunk = tl.program_id(0), tl.program_id(1)
    first = chunk.to(tl.int64) * RUN
    last = tl.minimum(tokens - chunk * RUN, RUN)
    step, column = tl.arange(0, ROWS), block * COLUMNS + tl.arange(0, COLUMNS)
    there = column < WIDTH
    gate_at = wide + first * 2 * WIDTH + (step * (2 * WIDTH))[:, None] + column[None, :]
    slope_at = slope + first * WIDTH + (step * WIDTH)[:, None] + column[None, :]
    dgate_at = dwide + first * STRIDE + (step * STRIDE)[:, None] + column[None, :]
    thin += first * THIN_STRIDE
    dthin += first * DOWN_STRIDE
    beside = block.to(tl.int64) * tokens + first
    gate_sums = _no_sums(COLUMNS, GATE_PADDED, TALL)
    up_sums = _no_sums(COLUMNS, UP_PADDED, TALL)
    down_sums = _no_sums(COLUMNS, DOWN_PADDED, TALL)
    gate_side = _thin_rows(up + GATE_AT, column, there, UP_STRIDE, GATE, GATE_PADDED)
    up_side = _thin_rows(up + WIDTH * UP_STRIDE + UP_AT, column, there, UP_STRIDE, UP, UP_PADDED)
    for place in range(0, last, ROWS):
        alive = place + step < last
        half = _read(gate_at + place * (2 * WIDTH), alive, there, EVEN)
        other = _read(gate_at + WIDTH + place * (2 * WIDTH), alive, there, EVEN)
        along = _read(slope_at + place * WIDTH, alive, there, EVEN)
        dgate, dup, act = leaned(along, half, other)
        dgate, dup, act = _settled(dgate), _settled(dup), _settled(act)
        if STORE:
            _write(dgate_at + place * STRIDE, dgate, alive, there, EVEN)
            _write(dgate_at + WIDTH + place * STRIDE, dup, alive, there, EVEN)
        else:
            tl.store(largest + beside + place + step, tl.max(tl.maximum(magnitude(dgate), magnitude(dup)), 1), alive)
        to = shares + (beside + place) * RANKS
        if GATE > 0:
            rows = _thin_rows(thin + GATE_AT + place * THIN_STRIDE, step, alive, THIN_STRIDE, GATE, GATE_PADDED)
            gate_sums = _along_rows(dgate, rows, gate_sums, TALL)
            if SHARES:
                _share_thin(dgate, gate_side, to + GATE_AT, step, alive, RANKS, GATE, GATE_PADDED)
        if UP > 0:
            rows = _thin_rows(thin + UP_AT + place * THIN_STRIDE, step, alive, THIN_STRIDE, UP, UP_PADDED)
            up_sums = _along_rows(dup, rows, up_sums, TALL)
            if SHARES:
                _share_thin(dup, up_side, to + UP_AT, step, alive, RANKS, UP, UP_PADDED)
        if DOWN > 0:
            rows = _thin_rows(dthin + place * DOWN_STRIDE, step, alive, DOWN_STRIDE, DOWN, DOWN_PADDED)
            down_sums = _along_rows(act, rows, down_sums, TALL)
    sums += chunk.to(tl.int64) * (DOWN + GATE + UP) * WIDTH
    if DOWN > 0:
        _keep_sums(sums, down_sums, column, there, WIDTH, DOWN, DOWN_PADDED, TALL)
    if GATE > 0:
        _keep_sums(sums + DOWN * WIDTH, gate_sums, column, there, WIDTH, GATE, GATE_PADDED, TALL)
    if UP > 0:
        _keep_sums(sums + (DOWN + GATE) * WIDTH, up_sums, column, there, WIDTH, UP, UP_PADDED, TALL)
