"""Device code of LoRA products."""

import triton
import triton.language as tl

from texlens.kernels.elementwise.triton_kernels import rms_norm_grad_row
from texlens.kernels.fp8.triton_kernels import FP8_MAX, TINY, store_appended, to_fp8


@triton.jit
def lora_b_backward_kernel(
    grad, lora_b, lora_a_out, blocks, partial_sums, sums, tokens, chunk, stride, lora_b_stride, lora_a_out_stride,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, RANKS: tl.constexpr, ALIGNED: tl.constexpr, RANKED: tl.constexpr,
):  # fmt: skip
    block, chunk_index = tl.program_id(0), tl.program_id(1)
    first, end = tl.load(blocks + block * 6) * ALIGNED, tl.load(blocks + block * 6 + 1) * ALIGNED
    first_rank, end_rank = tl.load(blocks + block * 6 + 2) * RANKED, tl.load(blocks + block * 6 + 3) * RANKED
    column, rank = first + tl.arange(0, COLUMNS), tl.arange(0, RANKS)
    is_column, is_rank = column < end, first_rank + rank < end_rank
    lora_b_pointers = lora_b + column[:, None].to(tl.int64) * lora_b_stride + (first_rank + rank)[None]
    lora_b_tile = tl.load(lora_b_pointers, is_column[:, None] & is_rank[None], other=0.0)
    total = tl.zeros((COLUMNS, RANKS), tl.float32)
    for start in range(chunk_index * chunk, tl.minimum(chunk_index * chunk + chunk, tokens), ROWS):
        row = (start + tl.arange(0, ROWS)).to(tl.int64)
        is_row = row < tokens
        grad_tile = tl.load(grad + row[:, None] * stride + column[None], is_row[:, None] & is_column[None], other=0.0)
        lora_a_out_pointers = lora_a_out + row[:, None] * lora_a_out_stride + (first_rank + rank)[None]
        lora_a_out_tile = tl.load(lora_a_out_pointers, is_row[:, None] & is_rank[None], other=0.0)
        out = partial_sums + (block.to(tl.int64) * tokens + row[:, None]) * RANKS + rank[None]
        tl.store(out, tl.dot(grad_tile, lora_b_tile, input_precision="ieee"), is_row[:, None])
        total = tl.dot(tl.trans(grad_tile), lora_a_out_tile, total, input_precision="ieee")
    row = (chunk_index * tl.num_programs(0) + block) * COLUMNS + tl.arange(0, COLUMNS)
    tl.store(sums + row[:, None].to(tl.int64) * RANKS + rank[None], total)


@triton.jit
def reduce_kernel(
    partial_sums, sums, blocks, rank_blocks, scales, grad_lora_a_out, extra_columns, grad_lora_b, tokens, chunks, count,
    tiles, stride, extra_columns_stride, rank_block_count,
    TILE: tl.constexpr, COLUMNS: tl.constexpr, RANKS: tl.constexpr, ALIGNED: tl.constexpr,
    EXTRA_COLUMNS: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0)
    rank = tl.arange(0, RANKS)
    total = tl.zeros((TILE, RANKS), tl.float32)
    if program < tiles:
        rank_block = program % rank_block_count
        first_block, end = tl.load(rank_blocks + rank_block * 4), tl.load(rank_blocks + rank_block * 4 + 1)
        first_rank, end_rank = tl.load(rank_blocks + rank_block * 4 + 2), tl.load(rank_blocks + rank_block * 4 + 3)
        row = (program // rank_block_count * TILE + tl.arange(0, TILE)).to(tl.int64)
        is_row = (row < tokens)[:, None]
        pointers = partial_sums + (first_block.to(tl.int64) * tokens + row[:, None]) * RANKS + rank[None]
        for _ in range(first_block, end):
            total += tl.load(pointers, is_row, other=0.0)
            pointers += tokens * RANKS
        values = total.to(grad_lora_a_out.dtype.element_ty)
        mask = is_row & (first_rank + rank < end_rank)[None]
        tl.store(grad_lora_a_out + row[:, None] * stride + (first_rank + rank)[None], values, mask)
        if EXTRA_COLUMNS:
            tl.store(extra_columns + row[:, None] * extra_columns_stride + (first_rank + rank)[None], values, mask)
    else:
        block, part = (program - tiles) // (COLUMNS // TILE), (program - tiles) % (COLUMNS // TILE)
        column = part * TILE + tl.arange(0, TILE)
        first, end = tl.load(blocks + block * 6) * ALIGNED, tl.load(blocks + block * 6 + 1) * ALIGNED
        out, rank_block = tl.load(blocks + block * 6 + 4), tl.load(blocks + block * 6 + 5)
        scale, stride = tl.load(scales + rank_block * 3), tl.load(scales + rank_block * 3 + 1).to(tl.int32)
        ranks = tl.load(scales + rank_block * 3 + 2).to(tl.int32)
        for chunk in range(chunks):
            row = (chunk * count + block) * COLUMNS + column
            total += tl.load(sums + row[:, None].to(tl.int64) * RANKS + rank[None])
        mask = (first + column < end)[:, None] & (rank < ranks)[None]
        tl.store(grad_lora_b + out + column[:, None] * stride + rank[None], total * scale, mask)


@triton.jit
def norm_lora_a_kernel(
    x, residual, weight, lora_a, lora_a_out, tokens, width, ranks, lora_a_stride, eps,
    ADD: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, RANKS: tl.constexpr, RANK_BLOCKS: tl.constexpr,
):  # fmt: skip
    """The LoRA A output of the norm of rows; with ADD, the first block of ranks writes the sum of x and residual."""
    row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    _norm_lora_a_block(
        x, residual, weight, lora_a, lora_a_out, row, 0, tokens, width, ranks, lora_a_stride, eps,
        ADD, ROWS, COLUMNS, RANKS,
    )  # fmt: skip
    for block in range(1, RANK_BLOCKS):
        if ADD:
            tl.debug_barrier()  # the sum was written by other threads of this program
        _norm_lora_a_block(
            residual if ADD else x, residual, weight, lora_a, lora_a_out, row, block * RANKS, tokens, width, ranks,
            lora_a_stride, eps, False, ROWS, COLUMNS, RANKS,
        )  # fmt: skip


@triton.jit
def _norm_lora_a_block(
    x, residual, weight, lora_a, lora_a_out, row, first_rank, tokens, width, ranks, lora_a_stride, eps,
    ADD: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, RANKS: tl.constexpr,
):  # fmt: skip
    is_row = (row < tokens)[:, None]
    column, rank = tl.arange(0, COLUMNS), first_rank + tl.arange(0, RANKS)
    dtype = x.dtype.element_ty
    squares, total = tl.zeros((ROWS,), tl.float32), tl.zeros((ROWS, RANKS), tl.float32)
    for start in range(0, width, COLUMNS):
        column_index = start + column
        mask = is_row & (column_index < width)[None]
        values = tl.load(x + row[:, None] * width + column_index[None], mask, other=0.0)
        if ADD:
            out = residual + row[:, None] * width + column_index[None]
            values = (values.to(tl.float32) + tl.load(out, mask, other=0.0).to(tl.float32)).to(dtype)
            tl.store(out, values, mask)
        values_f32 = values.to(tl.float32)
        squares += tl.sum(values_f32 * values_f32, 1)
        lora_a_pointers = lora_a + rank[None].to(tl.int64) * lora_a_stride + column_index[:, None]
        lora_a_tile = tl.load(lora_a_pointers, (column_index < width)[:, None] & (rank < ranks)[None], other=0.0)
        scale = tl.load(weight + column_index, column_index < width, other=0.0)
        total = tl.dot(values, (lora_a_tile * scale[:, None]).to(dtype), total, input_precision="ieee")
    rms = tl.rsqrt(squares / width + eps)[:, None]
    tl.store(lora_a_out + row[:, None] * ranks + rank[None], (total * rms).to(dtype), is_row & (rank < ranks)[None])


@triton.jit
def norm_quantize_kernel(
    x, weight, lora_a_out, rescale, quantized, scale, width, ranks, stride, eps,
    BLOCK: tl.constexpr, RANKS: tl.constexpr,
):  # fmt: skip
    token = tl.program_id(0).to(tl.int64)
    column, rank = tl.arange(0, BLOCK), tl.arange(0, RANKS)
    mask, is_rank = column < width, rank < ranks
    values = tl.load(x + token * width + column, mask, other=0.0)
    dtype = values.dtype
    values_f32 = values.to(tl.float32)
    normalized = (values_f32 * tl.rsqrt(tl.sum(values_f32 * values_f32) / width + eps)).to(dtype)
    normed = (normalized * tl.load(weight + column, mask, other=0.0)).to(dtype).to(tl.float32)
    appended = tl.load(lora_a_out + token * ranks + rank, is_rank, other=0.0).to(tl.float32) * tl.load(rescale)
    max_abs = tl.maximum(tl.max(tl.abs(normed)), tl.max(tl.abs(appended)))
    row_scale = tl.maximum(max_abs / FP8_MAX, TINY)
    row_scale += tl.sum(normed * 0.0) + tl.sum(appended * 0.0)  # NaN and Inf, which a maximum ignores
    tl.store(scale + token, row_scale)
    out = quantized + token * stride
    tl.store(out + column, to_fp8(normed / row_scale), mask)
    scaled = appended / row_scale
    store_appended(out + width, rank, is_rank, scaled, ranks)
    padding = width + 3 * ranks + tl.arange(0, 16)
    tl.store(out + padding, to_fp8(padding * 0.0), padding < stride)


@triton.jit
def rms_norm_backward_kernel(
    grad, x, weight, residual, grad_lora_a_out, dx, scaled_grad, width, residual_stride, stride,
    grad_lora_a_out_stride, scaled_stride, ranks, eps,
    ADD: tl.constexpr, BLOCK: tl.constexpr, RANKS: tl.constexpr,
):  # fmt: skip
    token = tl.program_id(0).to(tl.int64)
    column, rank = tl.arange(0, BLOCK), tl.arange(0, RANKS)
    mask = column < width
    values = tl.load(x + token * width + column, mask, other=0.0)
    scale = tl.load(weight + column, mask, other=0.0)
    result, _, rms = rms_norm_grad_row(
        tl.load(grad + token * width + column, mask, other=0.0), values, scale, width, eps
    )
    if ADD:
        result += tl.load(residual + token * residual_stride + column, mask, other=0.0).to(tl.float32)
    tl.store(dx + token * stride + column, result.to(values.dtype), mask)
    grad_ranks = tl.load(grad_lora_a_out + token * grad_lora_a_out_stride + rank, rank < ranks, other=0.0)
    tl.store(
        scaled_grad + token * scaled_stride + rank, (grad_ranks.to(tl.float32) * rms).to(grad_ranks.dtype), rank < ranks
    )


@triton.jit
def _chosen(number, first, second, third, fourth):
    """The pointer of this number."""
    pointer = first
    if number == 1:
        pointer = second
    if number == 2:
        pointer = third
    if number == 3:
        pointer = fourth
    return pointer


@triton.jit(do_not_specialize=["lora_a_stride", "lora_b_stride"])
def write_adapters_kernel(
    a0, a1, a2, a3, b0, b1, b2, b3, table, scalings, lora_a, lora_b, width, lora_a_stride, lora_b_stride,
    BLOCK: tl.constexpr,
):  # fmt: skip
    number, is_lora_b = tl.program_id(1), tl.program_id(2) == 1
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    row, rows = tl.load(table + number * 4), tl.load(table + number * 4 + 1)
    column, ranks = tl.load(table + number * 4 + 2), tl.load(table + number * 4 + 3)
    if is_lora_b:
        mask = index < rows * ranks
        values = tl.load(_chosen(number, b0, b1, b2, b3) + index, mask, other=0.0) * tl.load(scalings + number)
        pointers = lora_b + (row + index // ranks).to(tl.int64) * lora_b_stride + column + index % ranks
        tl.store(pointers, values.to(lora_b.dtype.element_ty), mask)
    else:
        mask = index < ranks * width
        values = tl.load(_chosen(number, a0, a1, a2, a3) + index, mask, other=0.0)
        pointers = lora_a + (column + index // width).to(tl.int64) * lora_a_stride + index % width
        tl.store(pointers, values.to(lora_a.dtype.element_ty), mask)
