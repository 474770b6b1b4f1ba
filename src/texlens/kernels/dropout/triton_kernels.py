"""Device code of LoRA products of dropped inputs."""

import triton
import triton.language as tl


@triton.jit
def _hash(x):
    """lowbias32 of uint32 values, as in `mask`."""
    x = x ^ (x >> 16)
    x = x * 0x7FEB352D
    x = x ^ (x >> 15)
    x = x * 0x846CA68B
    return x ^ (x >> 16)


@triton.jit
def _row_keys(seed, product, row):
    value = tl.load(seed)
    low, high = value.to(tl.uint32), (value >> 32).to(tl.uint32)
    product_key = tl.full([1], 0x85EBCA6B, tl.uint32) * product.to(tl.uint32)
    return _hash(_hash(row.to(tl.uint32) ^ low) + (high ^ product_key))


@triton.jit
def _drop(tile, key, column, THRESHOLD: tl.constexpr, SCALE: tl.constexpr):
    """The tile [ROWS, COLUMNS] with dropped values set to 0 and kept ones scaled, in its dtype."""
    pair = (column >> 1).to(tl.uint32) * tl.full([1], 0x9E3779B9, tl.uint32)
    bits = _hash(pair[None, :] ^ key[:, None])
    draws = (bits >> (16 * (column & 1)).to(tl.uint32)[None, :]) & 0xFFFF
    return tl.where(draws >= THRESHOLD, tile.to(tl.float32) * SCALE, 0.0).to(tile.dtype)


@triton.jit(do_not_specialize=["tokens", "product"])
def dropped_product_kernel(
    x, lora_a, out, seed, tokens, width, ranks, x_stride, lora_a_stride, product,
    THRESHOLD: tl.constexpr, SCALE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, RANKS: tl.constexpr,
):  # fmt: skip
    row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    rank = tl.program_id(1) * RANKS + tl.arange(0, RANKS)
    is_row, is_rank = row < tokens, rank < ranks
    key = _row_keys(seed, product, row)
    total = tl.zeros((ROWS, RANKS), tl.float32)
    for start in range(0, width, COLUMNS):
        column = start + tl.arange(0, COLUMNS)
        is_column = column < width
        tile = tl.load(x + row[:, None] * x_stride + column[None], is_row[:, None] & is_column[None], other=0.0)
        a = tl.load(
            lora_a + rank[None] * lora_a_stride + column[:, None], is_column[:, None] & is_rank[None], other=0.0
        )
        total = tl.dot(_drop(tile, key, column, THRESHOLD, SCALE), a.to(tile.dtype), total, input_precision="ieee")
    mask = is_row[:, None] & is_rank[None]
    tl.store(out + row[:, None] * ranks + rank[None], total.to(out.dtype.element_ty), mask)


@triton.jit(do_not_specialize=["tokens", "product", "span"])
def dropped_sum_kernel(
    grad, x, sums, seed, tokens, width, ranks, span, grad_stride, x_stride, product,
    THRESHOLD: tl.constexpr, SCALE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, RANKS: tl.constexpr,
):  # fmt: skip
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    chunk = tl.program_id(1)
    rank = tl.program_id(2) * RANKS + tl.arange(0, RANKS)
    is_column, is_rank = column < width, rank < ranks
    total = tl.zeros((RANKS, COLUMNS), tl.float32)
    for start in range(chunk * span, tl.minimum(chunk * span + span, tokens), ROWS):
        row = (start + tl.arange(0, ROWS)).to(tl.int64)
        is_row = row < tokens
        tile = tl.load(x + row[:, None] * x_stride + column[None], is_row[:, None] & is_column[None], other=0.0)
        grads = tl.load(grad + row[:, None] * grad_stride + rank[None], is_row[:, None] & is_rank[None], other=0.0)
        tile = _drop(tile, _row_keys(seed, product, row), column, THRESHOLD, SCALE)
        total = tl.dot(tl.trans(grads.to(tile.dtype)), tile, total, input_precision="ieee")
    out = sums + (chunk * ranks + rank[:, None]).to(tl.int64) * width + column[None]
    tl.store(out, total, is_rank[:, None] & is_column[None])


@triton.jit(do_not_specialize=["tokens", "product"])
def dropped_grad_kernel(
    dx, grad, lora_a, seed, tokens, width, ranks, dx_stride, grad_stride, lora_a_stride, product,
    THRESHOLD: tl.constexpr, SCALE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, RANKS: tl.constexpr,
):  # fmt: skip
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    row = (tl.program_id(1) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    is_row, is_column = row < tokens, column < width
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, ranks, RANKS):
        rank = start + tl.arange(0, RANKS)
        is_rank = rank < ranks
        grads = tl.load(grad + row[:, None] * grad_stride + rank[None], is_row[:, None] & is_rank[None], other=0.0)
        a = tl.load(
            lora_a + rank[:, None] * lora_a_stride + column[None], is_rank[:, None] & is_column[None], other=0.0
        )
        total = tl.dot(grads, a.to(grads.dtype), total, input_precision="ieee")
    mask = is_row[:, None] & is_column[None]
    pointers = dx + row[:, None] * dx_stride + column[None]
    total = _drop(total, _row_keys(seed, product, row), column, THRESHOLD, SCALE)
    values = tl.load(pointers, mask, other=0.0).to(tl.float32) + total
    tl.store(pointers, values.to(dx.dtype.element_ty), mask)
