"""Device code of LoRA products of dropped inputs.

In 16 bits two values of a row are read as one word: both halves of one hash are compared by one addition, and the word
is masked. The kernels are bound by integer operations, not by memory.
"""

import triton
import triton.language as tl


@triton.jit
def _fold(x, FACTOR: tl.constexpr):
    """Both halves of the 64-bit product of uint32 values, as in `mask`."""
    product = x.to(tl.uint64) * FACTOR
    return (product >> 32).to(tl.uint32) ^ product.to(tl.uint32)


@triton.jit
def row_keys(seed, product, row):
    value = tl.load(seed)
    low, high = value.to(tl.uint32), (value >> 32).to(tl.uint32)
    product_key = tl.full([1], 0x85EBCA6B, tl.uint32) * product.to(tl.uint32)
    return _fold(_fold(row.to(tl.uint32) ^ low, 0x9E3779B1) ^ (high ^ product_key), 0x85EBCA77)


@triton.jit
def _kept_bits(key, pair, THRESHOLD: tl.constexpr):
    """A word [ROWS, PAIRS] for two values: its bits 15 and 31 are set where the even and the odd one are kept."""
    addend: tl.constexpr = (0x8000 - THRESHOLD) * 0x10001
    draws = _fold(_fold((pair.to(tl.uint32) * 0x9E3779B9)[None, :] ^ key[:, None], 0xC2B2AE3D), 0xE7037ED1)
    return (draws & 0x7FFF7FFF) + addend


@triton.jit
def _kept_mask(key, pair, THRESHOLD: tl.constexpr):
    """A word [ROWS, PAIRS] for two values: the half of a kept one is all ones."""
    return ((_kept_bits(key, pair, THRESHOLD) >> 15) & 0x00010001) * 0xFFFF


@triton.jit
def dropped_tile(tile, key, first_pair, THRESHOLD: tl.constexpr):
    """The tile [ROWS, COLUMNS] with dropped values 0.

    Args:
        first_pair: half of its first column.
    """
    pair = first_pair + tl.arange(0, tile.shape[1] // 2)
    if tile.dtype.primitive_bitwidth == 16:
        words = _kept_mask(key, pair, THRESHOLD)
        mask = tl.interleave(words.to(tl.uint16), (words >> 16).to(tl.uint16))
        tile = (tile.to(tl.uint16, bitcast=True) & mask).to(tile.dtype, bitcast=True)
    else:
        tile = tl.where(_is_kept(key, pair, THRESHOLD), tile, 0.0)
    return tile


@triton.jit
def _is_kept(key, pair, THRESHOLD: tl.constexpr):
    """Of all values [ROWS, 2 PAIRS]."""
    bits = _kept_bits(key, pair, THRESHOLD)
    return tl.interleave((bits >> 15).to(tl.int8) & 1, (bits >> 31).to(tl.int8)) != 0


@triton.jit
def _kept_tile(
    x, row, start, x_stride, tokens, width, key, THRESHOLD: tl.constexpr, COLUMNS: tl.constexpr, WORDS: tl.constexpr,
    DTYPE: tl.constexpr,
):  # fmt: skip
    """The tile [ROWS, COLUMNS] of x, whose pointer is to WORDS, from column `start` on; dropped values are 0."""
    pair = start // 2 + tl.arange(0, COLUMNS // 2)
    if WORDS:
        mask = (row < tokens)[:, None] & (pair < width // 2)[None]
        words = tl.load(x + row[:, None] * (x_stride // 2) + pair[None], mask, other=0).to(tl.uint32, bitcast=True)
        words &= _kept_mask(key, pair, THRESHOLD)
        tile = tl.interleave(words.to(tl.uint16), (words >> 16).to(tl.uint16)).to(DTYPE, bitcast=True)
    else:
        column = start + tl.arange(0, COLUMNS)
        mask = (row < tokens)[:, None] & (column < width)[None]
        values = tl.load(x + row[:, None] * x_stride + column[None], mask, other=0.0)
        tile = tl.where(_is_kept(key, pair, THRESHOLD), values, 0.0).to(DTYPE)
    return tile


@triton.jit(do_not_specialize=["tokens", "product", "blocks"])
def dropped_product_kernel(
    x, lora_a, out, seed, tokens, width, ranks, blocks, x_stride, lora_a_stride, product,
    THRESHOLD: tl.constexpr, SCALE: tl.constexpr, WORDS: tl.constexpr, DTYPE: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, RANKS: tl.constexpr,
):  # fmt: skip
    row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    rank = tl.program_id(1) * RANKS + tl.arange(0, RANKS)
    part = tl.program_id(2)
    is_rank = rank < ranks
    key = row_keys(seed, product, row)
    total = tl.zeros((ROWS, RANKS), tl.float32)
    for block in range(part * blocks, tl.minimum(part * blocks + blocks, tl.cdiv(width, COLUMNS))):
        start = block * COLUMNS
        column = start + tl.arange(0, COLUMNS)
        tile = _kept_tile(x, row, start, x_stride, tokens, width, key, THRESHOLD, COLUMNS, WORDS, DTYPE)
        mask = (column < width)[:, None] & is_rank[None]
        a = tl.load(lora_a + rank[None] * lora_a_stride + column[:, None], mask, other=0.0)
        total = tl.dot(tile, a.to(DTYPE), total, input_precision="ieee")
    pointers = out + (part.to(tl.int64) * tokens + row[:, None]) * ranks + rank[None]
    tl.store(pointers, (total * SCALE).to(out.dtype.element_ty), (row < tokens)[:, None] & is_rank[None])


@triton.jit(do_not_specialize=["count"])
def sum_parts_kernel(parts, out, count, PARTS: tl.constexpr, BLOCK: tl.constexpr):
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK,), tl.float32)
    for part in tl.static_range(PARTS):
        total += tl.load(parts + part * count + index, index < count, other=0.0)
    tl.store(out + index, total.to(out.dtype.element_ty), index < count)


@triton.jit(do_not_specialize=["tokens", "product", "span"])
def dropped_sum_kernel(
    grad, x, sums, seed, tokens, width, ranks, span, grad_stride, x_stride, product,
    THRESHOLD: tl.constexpr, SCALE: tl.constexpr, WORDS: tl.constexpr, DTYPE: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, RANKS: tl.constexpr,
):  # fmt: skip
    first = tl.program_id(0) * COLUMNS
    column = first + tl.arange(0, COLUMNS)
    chunk = tl.program_id(1)
    rank = tl.program_id(2) * RANKS + tl.arange(0, RANKS)
    is_column, is_rank = column < width, rank < ranks
    total = tl.zeros((RANKS, COLUMNS), tl.float32)
    for start in range(chunk * span, tl.minimum(chunk * span + span, tokens), ROWS):
        row = (start + tl.arange(0, ROWS)).to(tl.int64)
        mask = (row < tokens)[:, None] & is_rank[None]
        grads = tl.load(grad + row[:, None] * grad_stride + rank[None], mask, other=0.0)
        key = row_keys(seed, product, row)
        tile = _kept_tile(x, row, first, x_stride, tokens, width, key, THRESHOLD, COLUMNS, WORDS, DTYPE)
        total = tl.dot(tl.trans(grads.to(DTYPE)), tile, total, input_precision="ieee")
    out = sums + (chunk * ranks + rank[:, None]).to(tl.int64) * width + column[None]
    tl.store(out, total * SCALE, is_rank[:, None] & is_column[None])


@triton.jit(do_not_specialize=["tokens", "product"])
def dropped_grad_kernel(
    dx, grad, lora_a, seed, tokens, width, ranks, dx_stride, grad_stride, lora_a_stride, product,
    THRESHOLD: tl.constexpr, SCALE: tl.constexpr, ADD: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, RANKS: tl.constexpr,
):  # fmt: skip
    first = tl.program_id(0) * COLUMNS
    column = first + tl.arange(0, COLUMNS)
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
    pair = first // 2 + tl.arange(0, COLUMNS // 2)
    key = row_keys(seed, product, row)
    mask = is_row[:, None] & is_column[None]
    pointers = dx + row[:, None] * dx_stride + column[None]
    total = tl.where(_is_kept(key, pair, THRESHOLD), total * SCALE, 0.0)
    if ADD:
        total += tl.load(pointers, mask, other=0.0)
    tl.store(pointers, total.to(dx.dtype.element_ty), mask)
