"""Device code of SwiGLU with the LoRA products around it."""

import triton
import triton.language as tl

from texlens.kernels.dropout.triton_kernels import dropped_tile, row_keys
from texlens.kernels.elementwise.triton_kernels import INTERPRETED, swiglu_grads, swiglu_tile
from texlens.kernels.fp8.triton_kernels import abs_bits, to_fp8


@triton.jit
def _materialize(tile):
    """The tile; without this the compiler recomputes it, from the loads on, for every product that uses it."""
    if not INTERPRETED:
        if tile.dtype.primitive_bitwidth == 16:
            tile = tl.inline_asm_elementwise("mov.b32 $0, $1;", "=r,r", [tile], tile.dtype, is_pure=False, pack=2)
        else:
            tile = tl.inline_asm_elementwise("mov.b32 $0, $1;", "=r,r", [tile], tile.dtype, is_pure=False, pack=1)
    return tile


@triton.jit
def quantize_swiglu_kernel(gate_up, scale, quantized, width, stride, BLOCK: tl.constexpr):
    row, column = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = column < width
    gate = tl.load(gate_up + row * 2 * width + column, mask, other=0.0)
    up = tl.load(gate_up + row * 2 * width + width + column, mask, other=0.0)
    row_scale = tl.load(scale + row)
    tl.store(quantized + row * stride + column, to_fp8(swiglu_tile(gate, up).to(tl.float32) / row_scale), mask)


@triton.jit
def quantize_swiglu_grad_kernel(grad, gate_up, scale, quantized, width, stride, BLOCK: tl.constexpr):
    row, column = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = column < width
    gate = tl.load(gate_up + row * 2 * width + column, mask, other=0.0)
    up = tl.load(gate_up + row * 2 * width + width + column, mask, other=0.0)
    grad_tile = tl.load(grad + row * width + column, mask, other=0.0)
    dgate, dup, _ = swiglu_grads(grad_tile, gate, up)
    dgate, dup = _materialize(dgate), _materialize(dup)  # two at a time are then rounded to 16 bits, not one
    row_scale = tl.load(scale + row)
    tl.store(quantized + row * stride + column, to_fp8(dgate.to(tl.float32) / row_scale), mask)
    tl.store(quantized + row * stride + width + column, to_fp8(dup.to(tl.float32) / row_scale), mask)


@triton.jit
def _load(pointers, is_row, is_column, EVEN: tl.constexpr):
    """A tile, 0 in invalid rows and, unless EVEN, in columns beyond the width."""
    return tl.load(pointers, is_row[:, None] if EVEN else is_row[:, None] & is_column[None, :], other=0.0)


@triton.jit
def _store(pointers, tile, is_row, is_column, EVEN: tl.constexpr):
    tl.store(pointers, tile, is_row[:, None] if EVEN else is_row[:, None] & is_column[None, :])


@triton.jit(do_not_specialize=["tokens", "product"])
def forward_kernel(
    gate_up, lora_a, act, partial_sums, max_bits, tokens, seed, product, THRESHOLD: tl.constexpr, SCALE: tl.constexpr,
    WIDTH: tl.constexpr, STRIDE: tl.constexpr, LORA_A_STRIDE: tl.constexpr, RANKS: tl.constexpr, PADDED: tl.constexpr,
    STORE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, SPAN: tl.constexpr, TILE_LEFT: tl.constexpr,
):  # fmt: skip
    EVEN: tl.constexpr = WIDTH % SPAN == 0 and SPAN % COLUMNS == 0
    piece, row = tl.program_id(0), tl.program_id(1).to(tl.int64) * ROWS
    row_index, column_index, rank = tl.arange(0, ROWS), tl.arange(0, COLUMNS), tl.arange(0, PADDED)
    is_row, is_rank = row + row_index < tokens, rank < RANKS
    gate_pointers = gate_up + row * 2 * WIDTH + (row_index * (2 * WIDTH))[:, None] + column_index[None, :]
    act_pointers = act + row * STRIDE + (row_index * STRIDE)[:, None] + column_index[None, :]
    lora_a_pointers = lora_a + (rank * LORA_A_STRIDE)[:, None] + column_index[None, :]
    row_max = tl.zeros([ROWS], tl.int32)
    lora_a_out = tl.zeros([ROWS, PADDED] if TILE_LEFT else [PADDED, ROWS], tl.float32)
    start = piece * SPAN
    key = row_index.to(tl.uint32)
    if THRESHOLD > 0:
        key = row_keys(seed, product, row + row_index)
    for column in range(start, tl.minimum(start + SPAN, WIDTH), COLUMNS):
        is_column = column + column_index < WIDTH
        gate = _load(gate_pointers + column, is_row, is_column, EVEN)
        up = _load(gate_pointers + WIDTH + column, is_row, is_column, EVEN)
        tile = _materialize(swiglu_tile(gate, up))
        lora_a_tile = _load(lora_a_pointers + column, is_rank, is_column, EVEN)
        read = tile
        if THRESHOLD > 0:
            read = dropped_tile(tile, key, column // 2, THRESHOLD)
        if TILE_LEFT:
            lora_a_out = tl.dot(read, tl.trans(lora_a_tile), lora_a_out, input_precision="ieee")
        else:
            lora_a_out = tl.dot(lora_a_tile, tl.trans(read), lora_a_out, input_precision="ieee")
        if STORE:
            _store(act_pointers + column, tile, is_row, is_column, EVEN)
        else:
            row_max = tl.maximum(row_max, tl.max(abs_bits(tile), 1))
    row_base = piece.to(tl.int64) * tokens + row + row_index
    lora_a_out *= SCALE
    if TILE_LEFT:
        tl.store(
            partial_sums + row_base[:, None] * RANKS + rank[None, :], lora_a_out, is_row[:, None] & is_rank[None, :]
        )
    else:
        tl.store(
            partial_sums + row_base[None, :] * RANKS + rank[:, None], lora_a_out, is_row[None, :] & is_rank[:, None]
        )
    if not STORE:
        tl.store(max_bits + row_base, row_max, is_row)


@triton.jit
def _load_ranks(lora_a_out, row_index, is_row, STRIDE: tl.constexpr, RANKS: tl.constexpr, PADDED: tl.constexpr):
    """[ROWS, PADDED] of the columns of one adapter."""
    rank = tl.arange(0, PADDED)
    return tl.load(
        lora_a_out + (row_index * STRIDE)[:, None] + rank[None, :], is_row[:, None] & (rank < RANKS)[None, :], other=0.0
    )


@triton.jit
def _add_lora_grad(tile, lora_a_out, sums, TILE_LEFT: tl.constexpr):
    """The gradient of a LoRA matrix after one more tile: [COLUMNS, PADDED] if TILE_LEFT, else transposed."""
    if TILE_LEFT:
        sums = tl.dot(tl.trans(tile), lora_a_out, sums, input_precision="ieee")
    else:
        sums = tl.dot(tl.trans(lora_a_out), tile, sums, input_precision="ieee")
    return sums


@triton.jit
def _zero_sums(COLUMNS: tl.constexpr, PADDED: tl.constexpr, TILE_LEFT: tl.constexpr):
    return tl.zeros([COLUMNS, PADDED] if TILE_LEFT else [PADDED, COLUMNS], tl.float32)


@triton.jit
def _store_sums(
    out,
    sums,
    column,
    is_column,
    WIDTH: tl.constexpr,
    RANKS: tl.constexpr,
    PADDED: tl.constexpr,
    TILE_LEFT: tl.constexpr,
):
    rank = tl.arange(0, PADDED)
    is_rank = rank < RANKS
    if TILE_LEFT:
        tl.store(out + (rank * WIDTH)[None, :] + column[:, None], sums, is_column[:, None] & is_rank[None, :])
    else:
        tl.store(out + (rank * WIDTH)[:, None] + column[None, :], sums, is_column[None, :] & is_rank[:, None])


@triton.jit
def _store_partial_sum(
    tile, lora_b_tile, out, row_index, is_row, STRIDE: tl.constexpr, RANKS: tl.constexpr, PADDED: tl.constexpr
):
    """Writes tile @ lora_b_tile [ROWS, PADDED], the part of the LoRA A output's gradient from these columns."""
    rank = tl.arange(0, PADDED)
    part = tl.dot(tile, lora_b_tile, input_precision="ieee")
    tl.store(out + (row_index * STRIDE)[:, None] + rank[None, :], part, is_row[:, None] & (rank < RANKS)[None, :])


@triton.jit(do_not_specialize=["tokens", "product"])
def backward_kernel(
    grad, gate_up, lora_a_out, grad_down_lora_a_out, lora_b, dgate_up, sums, partial_sums, max_bits, tokens,
    seed, product, THRESHOLD: tl.constexpr, SCALE: tl.constexpr,
    WIDTH: tl.constexpr, STRIDE: tl.constexpr, LORA_A_OUT_STRIDE: tl.constexpr, DOWN_STRIDE: tl.constexpr,
    LORA_B_STRIDE: tl.constexpr, RANKS: tl.constexpr, DOWN: tl.constexpr, GATE: tl.constexpr, UP: tl.constexpr,
    GATE_COLUMN: tl.constexpr, UP_COLUMN: tl.constexpr, DOWN_PADDED: tl.constexpr, GATE_PADDED: tl.constexpr,
    UP_PADDED: tl.constexpr, STORE: tl.constexpr, PARTIAL_SUMS: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, SPAN: tl.constexpr, TILE_LEFT: tl.constexpr,
):  # fmt: skip
    EVEN: tl.constexpr = WIDTH % COLUMNS == 0
    block, chunk = tl.program_id(0), tl.program_id(1)
    start = chunk.to(tl.int64) * SPAN
    rows_left = tl.minimum(tokens - chunk * SPAN, SPAN)
    row_index, column = tl.arange(0, ROWS), block * COLUMNS + tl.arange(0, COLUMNS)
    is_column = column < WIDTH
    gate_pointers = gate_up + start * 2 * WIDTH + (row_index * (2 * WIDTH))[:, None] + column[None, :]
    grad_pointers = grad + start * WIDTH + (row_index * WIDTH)[:, None] + column[None, :]
    dgate_pointers = dgate_up + start * STRIDE + (row_index * STRIDE)[:, None] + column[None, :]
    lora_a_out += start * LORA_A_OUT_STRIDE
    grad_down_lora_a_out += start * DOWN_STRIDE
    row_base = block.to(tl.int64) * tokens + start
    gate_sums = _zero_sums(COLUMNS, GATE_PADDED, TILE_LEFT)
    up_sums = _zero_sums(COLUMNS, UP_PADDED, TILE_LEFT)
    down_sums = _zero_sums(COLUMNS, DOWN_PADDED, TILE_LEFT)
    gate_lora_b = _load_ranks(lora_b + GATE_COLUMN, column, is_column, LORA_B_STRIDE, GATE, GATE_PADDED)
    up_lora_b = _load_ranks(lora_b + WIDTH * LORA_B_STRIDE + UP_COLUMN, column, is_column, LORA_B_STRIDE, UP, UP_PADDED)
    for offset in range(0, rows_left, ROWS):
        is_row = offset + row_index < rows_left
        gate = _load(gate_pointers + offset * (2 * WIDTH), is_row, is_column, EVEN)
        up_tile = _load(gate_pointers + WIDTH + offset * (2 * WIDTH), is_row, is_column, EVEN)
        grad_tile = _load(grad_pointers + offset * WIDTH, is_row, is_column, EVEN)
        dgate, dup, act = swiglu_grads(grad_tile, gate, up_tile)
        dgate, dup, act = _materialize(dgate), _materialize(dup), _materialize(act)
        if STORE:
            _store(dgate_pointers + offset * STRIDE, dgate, is_row, is_column, EVEN)
            _store(dgate_pointers + WIDTH + offset * STRIDE, dup, is_row, is_column, EVEN)
        else:
            tl.store(
                max_bits + row_base + offset + row_index, tl.max(tl.maximum(abs_bits(dgate), abs_bits(dup)), 1), is_row
            )
        out = partial_sums + (row_base + offset) * RANKS
        if GATE > 0:
            rows = _load_ranks(
                lora_a_out + GATE_COLUMN + offset * LORA_A_OUT_STRIDE,
                row_index,
                is_row,
                LORA_A_OUT_STRIDE,
                GATE,
                GATE_PADDED,
            )
            gate_sums = _add_lora_grad(dgate, rows, gate_sums, TILE_LEFT)
            if PARTIAL_SUMS:
                _store_partial_sum(dgate, gate_lora_b, out + GATE_COLUMN, row_index, is_row, RANKS, GATE, GATE_PADDED)
        if UP > 0:
            rows = _load_ranks(
                lora_a_out + UP_COLUMN + offset * LORA_A_OUT_STRIDE, row_index, is_row, LORA_A_OUT_STRIDE, UP, UP_PADDED
            )
            up_sums = _add_lora_grad(dup, rows, up_sums, TILE_LEFT)
            if PARTIAL_SUMS:
                _store_partial_sum(dup, up_lora_b, out + UP_COLUMN, row_index, is_row, RANKS, UP, UP_PADDED)
        if DOWN > 0:
            rows = _load_ranks(
                grad_down_lora_a_out + offset * DOWN_STRIDE, row_index, is_row, DOWN_STRIDE, DOWN, DOWN_PADDED
            )
            if THRESHOLD > 0:
                key = row_keys(seed, product, start + offset + row_index)
                act = dropped_tile(act, key, block * (COLUMNS // 2), THRESHOLD)
            down_sums = _add_lora_grad(act, rows, down_sums, TILE_LEFT)
    sums += chunk.to(tl.int64) * (DOWN + GATE + UP) * WIDTH
    if DOWN > 0:
        _store_sums(sums, down_sums * SCALE, column, is_column, WIDTH, DOWN, DOWN_PADDED, TILE_LEFT)
    if GATE > 0:
        _store_sums(sums + DOWN * WIDTH, gate_sums, column, is_column, WIDTH, GATE, GATE_PADDED, TILE_LEFT)
    if UP > 0:
        _store_sums(sums + (DOWN + GATE) * WIDTH, up_sums, column, is_column, WIDTH, UP, UP_PADDED, TILE_LEFT)
