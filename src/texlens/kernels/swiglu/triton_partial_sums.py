"""Device code of the sums of partial results."""

import triton
import triton.language as tl

from texlens.kernels.fp8.triton_kernels import FP8_MAX, TINY, abs_bits, store_appended, to_fp8


@triton.jit
def _sum_of_chunks(
    sums, chunks, column, is_column,
    ALL: tl.constexpr, WIDTH: tl.constexpr, RANKS: tl.constexpr, PADDED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """[PADDED, BLOCK]: the sums of one adapter over all chunks, four read at a time."""
    rank = tl.arange(0, PADDED)
    pointers = sums + (rank * WIDTH)[:, None] + column[None, :]
    inside = (rank < RANKS)[:, None] & is_column[None, :]
    total = tl.zeros([PADDED, BLOCK], tl.float32)
    for first in range(0, chunks, 4):
        for step in tl.static_range(4):
            total += tl.load(pointers, inside & (first + step < chunks), other=0.0)
            pointers += ALL * WIDTH
    return total


@triton.jit
def _store_transposed(
    sums, out, chunks, scale, column, is_column,
    ALL: tl.constexpr, WIDTH: tl.constexpr, RANKS: tl.constexpr, PADDED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Writes `_sum_of_chunks` times scale into `out`, transposed: [F, RANKS]."""
    total = _sum_of_chunks(sums, chunks, column, is_column, ALL, WIDTH, RANKS, PADDED, BLOCK)
    rank = tl.arange(0, PADDED)
    inside = (rank < RANKS)[:, None] & is_column[None, :]
    tl.store(out + (column * RANKS)[None, :] + rank[:, None], total * scale, inside)


@triton.jit(do_not_specialize=["chunks"])
def reduce_chunks_kernel(
    sums, grad_down_lora_a, grad_gate_lora_b, grad_up_lora_b, chunks, gate_scaling, up_scaling,
    WIDTH: tl.constexpr, DOWN: tl.constexpr, GATE: tl.constexpr, UP: tl.constexpr,
    DOWN_PADDED: tl.constexpr, GATE_PADDED: tl.constexpr, UP_PADDED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    ALL: tl.constexpr = DOWN + GATE + UP
    column = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    is_column = column < WIDTH
    section = tl.program_id(1)
    if section == 0:
        total = _sum_of_chunks(sums, chunks, column, is_column, ALL, WIDTH, DOWN, DOWN_PADDED, BLOCK)
        rank = tl.arange(0, DOWN_PADDED)
        inside = (rank < DOWN)[:, None] & is_column[None, :]
        tl.store(grad_down_lora_a + (rank * WIDTH)[:, None] + column[None, :], total, inside)
    elif section == 1:
        gate_sums = sums + DOWN * WIDTH
        _store_transposed(
            gate_sums, grad_gate_lora_b, chunks, gate_scaling, column, is_column, ALL, WIDTH, GATE, GATE_PADDED, BLOCK
        )
    else:
        up_sums = sums + (DOWN + GATE) * WIDTH
        _store_transposed(
            up_sums, grad_up_lora_b, chunks, up_scaling, column, is_column, ALL, WIDTH, UP, UP_PADDED, BLOCK
        )


@triton.jit(do_not_specialize=["pieces", "tokens"])
def reduce_partial_sums_kernel(
    partial_sums, lora_a_out, out, scale, max_bits, rescale, pieces, tokens,
    RANKS: tl.constexpr, USED: tl.constexpr, PADDED: tl.constexpr, STRIDE: tl.constexpr, START: tl.constexpr,
    FP8_COLUMNS: tl.constexpr, EXTRA_COLUMNS: tl.constexpr, QUANTIZED: tl.constexpr,
):  # fmt: skip
    """LoRA A outputs of a tile of 16 rows, and the columns of these rows from START of `out` on."""
    step, rank = tl.arange(0, 16), tl.arange(0, PADDED)
    row = tl.program_id(0).to(tl.int64) * 16
    is_row = row + step < tokens
    mask = is_row[:, None] & (rank < RANKS)[None, :]
    offsets = (row + step)[:, None] * RANKS + rank[None, :]
    pointers, inside = partial_sums + offsets, is_row[:, None] & (rank < USED)[None, :]
    max_pointers = max_bits + row + step
    total = tl.zeros([16, PADDED], tl.float32)
    row_max = tl.zeros([16], tl.int32)
    stride = tl.cast(tokens, tl.int64)
    for first in range(0, pieces, 8):
        for piece in tl.static_range(8):
            total += tl.load(pointers, inside & (first + piece < pieces), other=0.0)
            pointers += stride * RANKS
            if QUANTIZED:
                row_max = tl.maximum(row_max, tl.load(max_pointers, is_row & (first + piece < pieces), other=0))
                max_pointers += stride
    result = total.to(lora_a_out.dtype.element_ty)
    tl.store(lora_a_out + offsets, result, mask)
    if EXTRA_COLUMNS:
        tl.store(out + ((row + step) * STRIDE + START)[:, None] + rank[None, :], result, mask)
    if QUANTIZED:
        appended = result.to(tl.float32) * tl.load(rescale)
        row_max = tl.maximum(row_max, tl.max(abs_bits(appended), 1))
        row_scale = tl.maximum(row_max.to(tl.float32, bitcast=True) / FP8_MAX, TINY)
        row_scale = tl.where(row_max >= 0x7F800000, float("nan"), row_scale)
        tl.store(scale + row + step, row_scale, is_row)
        scaled = appended / row_scale[:, None]
        row_pointers = out + ((row + step) * STRIDE + START)[:, None]
        store_appended(row_pointers, rank[None, :], mask, scaled, RANKS)
        padding = 3 * RANKS + tl.arange(0, 16)
        tl.store(
            row_pointers + padding[None, :],
            to_fp8(tl.zeros([16, 16], tl.float32)),
            is_row[:, None] & (padding < FP8_COLUMNS)[None, :],
        )
