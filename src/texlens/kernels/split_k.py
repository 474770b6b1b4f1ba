"""Sums of what the programs of a fused pass left, each for its own piece: small kernels without atomics.

# T = tokens, F = width of the MLP, R = ranks of adapters side by side, P = pieces
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from texlens.kernels.fp8.format import room_for
from texlens.kernels.fp8.triton import LARGEST, TINY, code, code_beside, magnitude


class Parts(NamedTuple):
    """Columns of thin products: of down's, and of gate's and up's, which in theirs begin at `gate_at` and `up_at`."""

    down: int
    gate: int
    up: int
    gate_at: int
    up_at: int

    @classmethod
    def of(cls, adapters: Sequence[Any], width: int, down: int) -> "Parts":
        """From gate's and up's adapters (`products.Adapter`), each of them [width, D] or absent."""
        found = {one.rows.start: (len(one.down), one.columns.start) for one in adapters}
        gate, up = found.get(0, (0, 0)), found.get(width, (0, 0))
        return cls(down, gate[0], up[0], gate[1], up[1])

    @property
    def ranks(self) -> int:
        return self.down + self.gate + self.up

    def sizes(self) -> dict[str, int]:
        """The kernels' constants of these names."""
        sizes = {"DOWN": self.down, "GATE": self.gate, "UP": self.up}
        return sizes | {f"{name}_PADDED": padded(size) for name, size in sizes.items()}


def padded(ranks: int) -> int:
    return max(16, triton.next_power_of_2(ranks))


def sum_chunks(sums: Tensor, parts: Parts, adapters: Sequence[Any]) -> tuple[tuple[Tensor, ...], Tensor | None]:
    """Sums over all chunks of [P, DOWN + GATE + UP, F]: the slopes of each adapter's own `up`, and of down's `down`."""
    chunks, _, width = sums.shape
    shapes = (parts.down, width), (width, parts.gate), (width, parts.up)
    ddown, dgate, dup = (sums.new_empty(shape) for shape in shapes)
    scales = {one.rows.start: one.scale for one in adapters}
    _sum_chunks[(triton.cdiv(width, 64), 3)](
        sums, ddown, dgate, dup, chunks, float(scales.get(0, 1)), float(scales.get(width, 1)), WIDTH=width,
        **parts.sizes(), BLOCK=64,
    )  # fmt: skip
    return tuple(slope for slope in (dgate, dup) if slope.numel()), ddown if parts.down else None


def sum_shares(shares: Tensor, used: int, dtype: torch.dtype, border: Tensor | None = None, codes=None) -> Tensor:
    """The sum of shares [P, T, R] in `dtype`, written into the last columns of `border` or beside codes too.

    Args:
        used: columns that were written; the others become 0.
        codes: codes, scales (all of them written here, and what stands beside the codes), rows' largest numbers
            [P, T], gain.
    """
    pieces, tokens, ranks = shares.shape
    thin = torch.empty(tokens, ranks, dtype=dtype, device=shares.device)
    to, scale, largest, gain = codes or (thin if border is None else border, shares, shares, shares)
    beside = room_for(ranks) if codes else ranks
    _sum_over_pieces[(triton.cdiv(tokens, 16),)](
        shares, thin, to, scale, largest, gain, pieces, tokens,
        RANKS=ranks, USED=used, PADDED=padded(ranks), STRIDE=to.stride(0), AT=to.shape[1] - beside,
        ROOM=room_for(ranks), BORDER=border is not None, CODES=codes is not None,
    )  # fmt: skip
    return thin


@triton.jit
def _summed(
    sums, chunks, column, there,
    ALL: tl.constexpr, WIDTH: tl.constexpr, RANKS: tl.constexpr, PADDED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """[PADDED, BLOCK]: an adapter's sums over all chunks, four read at a time."""
    rank = tl.arange(0, PADDED)
    at = sums + (rank * WIDTH)[:, None] + column[None, :]
    inside = (rank < RANKS)[:, None] & there[None, :]
    total = tl.zeros([PADDED, BLOCK], tl.float32)
    for first in range(0, chunks, 4):
        for step in tl.static_range(4):
            total += tl.load(at, inside & (first + step < chunks), other=0.0)
            at += ALL * WIDTH
    return total


@triton.jit
def _turned(
    sums, to, chunks, scale, column, there,
    ALL: tl.constexpr, WIDTH: tl.constexpr, RANKS: tl.constexpr, PADDED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Writes `_summed` times scale into `to`, transposed: [F, RANKS]."""
    total = _summed(sums, chunks, column, there, ALL, WIDTH, RANKS, PADDED, BLOCK)
    rank = tl.arange(0, PADDED)
    inside = (rank < RANKS)[:, None] & there[None, :]
    tl.store(to + (column * RANKS)[None, :] + rank[:, None], total * scale, inside)


@triton.jit(do_not_specialize=["chunks"])
def _sum_chunks(
    sums, ddown, dgate, dup, chunks, gate_scale, up_scale,
    WIDTH: tl.constexpr, DOWN: tl.constexpr, GATE: tl.constexpr, UP: tl.constexpr,
    DOWN_PADDED: tl.constexpr, GATE_PADDED: tl.constexpr, UP_PADDED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    ALL: tl.constexpr = DOWN + GATE + UP
    column = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    there = column < WIDTH
    part = tl.program_id(1)
    if part == 0:
        total = _summed(sums, chunks, column, there, ALL, WIDTH, DOWN, DOWN_PADDED, BLOCK)
        rank = tl.arange(0, DOWN_PADDED)
        inside = (rank < DOWN)[:, None] & there[None, :]
        tl.store(ddown + (rank * WIDTH)[:, None] + column[None, :], total, inside)
    elif part == 1:
        gate_sums = sums + DOWN * WIDTH
        _turned(gate_sums, dgate, chunks, gate_scale, column, there, ALL, WIDTH, GATE, GATE_PADDED, BLOCK)
    else:
        up_sums = sums + (DOWN + GATE) * WIDTH
        _turned(up_sums, dup, chunks, up_scale, column, there, ALL, WIDTH, UP, UP_PADDED, BLOCK)


@triton.jit(do_not_specialize=["pieces", "tokens"])
def _sum_over_pieces(
    shares, thin, to, scale, largest, gain, pieces, tokens,
    RANKS: tl.constexpr, USED: tl.constexpr, PADDED: tl.constexpr, STRIDE: tl.constexpr, AT: tl.constexpr,
    ROOM: tl.constexpr, BORDER: tl.constexpr, CODES: tl.constexpr,
):  # fmt: skip
    """A tile of 16 rows' thin products, and what stands beside these rows, from column AT of `to` on."""
    step, rank = tl.arange(0, 16), tl.arange(0, PADDED)
    row = tl.program_id(0).to(tl.int64) * 16
    alive = row + step < tokens
    mine = alive[:, None] & (rank < RANKS)[None, :]
    within = (row + step)[:, None] * RANKS + rank[None, :]
    at, inside = shares + within, alive[:, None] & (rank < USED)[None, :]
    most_at = largest + row + step
    total = tl.zeros([16, PADDED], tl.float32)
    most = tl.zeros([16], tl.int32)
    ahead = tl.cast(tokens, tl.int64)
    for first in range(0, pieces, 8):
        for piece in tl.static_range(8):
            total += tl.load(at, inside & (first + piece < pieces), other=0.0)
            at += ahead * RANKS
            if CODES:
                most = tl.maximum(most, tl.load(most_at, alive & (first + piece < pieces), other=0))
                most_at += ahead
    result = total.to(thin.dtype.element_ty)
    tl.store(thin + within, result, mine)
    if BORDER:
        tl.store(to + ((row + step) * STRIDE + AT)[:, None] + rank[None, :], result, mine)
    if CODES:
        beside = result.to(tl.float32) * tl.load(gain)
        most = tl.maximum(most, tl.max(magnitude(beside), 1))
        factor = tl.maximum(most.to(tl.float32, bitcast=True) / LARGEST, TINY)
        factor = tl.where(most >= 0x7F800000, float("nan"), factor)
        tl.store(scale + row + step, factor, alive)
        exact = beside / factor[:, None]
        rows_at = to + ((row + step) * STRIDE + AT)[:, None]
        code_beside(rows_at, rank[None, :], mine, exact, RANKS)
        rest = 3 * RANKS + tl.arange(0, 16)
        tl.store(rows_at + rest[None, :], code(tl.zeros([16, 16], tl.float32)), alive[:, None] & (rest < ROOM)[None, :])
