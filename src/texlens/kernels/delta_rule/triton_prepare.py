"""Device code before the recurrence: vectors of length 1, cumulative decay, and the inverse of each chunk's system.

A chunk of 64 places is 4 blocks of 16. What its places write solves (I + A) new = right side with a strictly lower A,
`A[i, j] = beta[i] (k[i] . k[j]) exp(G[i] - G[j])`, G the cumulative logarithm of the decay. The inverse is merged from
inverses of its parts, `[[P, 0], [R, Q]]` to `[[P', 0], [-Q' R P', Q']]`, from single places up to the chunk: as stable
as forward substitution, where powers of A grow like binomials if keys resemble each other. It is float32 throughout.

No product has a transposed result of another product as its left side: Triton 3.4 to 3.7.0 compiles those wrongly for
Hopper GPUs (https://github.com/fla-org/flash-linear-attention/pull/826).
"""

import triton
import triton.language as tl

from texlens.kernels.attention.triton_kernels import locate_tile

CHUNK = tl.constexpr(64)
BLOCK = tl.constexpr(16)


@triton.jit(do_not_specialize=["rows"])
def unit_kernel(x, result, rows, stride, scale, eps, HEADS: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr,
                ROWS: tl.constexpr):  # fmt: skip
    """scale * x / |x| of vectors [T, K, WIDTH]; a row is a token and a head."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, PADDED)
    mask = (row < rows)[:, None] & (column < WIDTH)[None, :]
    at = (row // HEADS * stride + row % HEADS * WIDTH)[:, None] + column[None, :]
    value = tl.load(x + at, mask, other=0.0).to(tl.float32)
    value *= (scale * tl.rsqrt(tl.sum(value * value, 1) + eps))[:, None]
    tl.store(result + row[:, None] * WIDTH + column[None, :], value.to(result.dtype.element_ty), mask)


@triton.jit(do_not_specialize=["rows"])
def unit_backward_kernel(
    x, grads, result, rows, stride, result_stride, scale, eps,
    HEADS: tl.constexpr, REPEATS: tl.constexpr, PARTS: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr,
    ROWS: tl.constexpr,
):  # fmt: skip
    """The gradient of x from the parts of those of its REPEATS copies, [PARTS, T, K * REPEATS, WIDTH]."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, PADDED)
    mask = (row < rows)[:, None] & (column < WIDTH)[None, :]
    token, head = row // HEADS, row % HEADS
    value = tl.load(x + (token * stride + head * WIDTH)[:, None] + column[None, :], mask, other=0.0).to(tl.float32)
    inverse_length = tl.rsqrt(tl.sum(value * value, 1) + eps)
    value *= inverse_length[:, None]
    grad = tl.zeros([ROWS, PADDED], tl.float32)
    for copy in tl.static_range(REPEATS * PARTS):
        at = (copy // REPEATS * rows.to(tl.int64) + row) * REPEATS + copy % REPEATS
        at = at[:, None] * WIDTH + column[None, :]
        grad += tl.load(grads + at, mask, other=0.0).to(tl.float32)
    grad = (grad - value * tl.sum(grad * value, 1)[:, None]) * (scale * inverse_length)[:, None]
    to = (token * result_stride + head * WIDTH)[:, None] + column[None, :]
    tl.store(result + to, grad.to(result.dtype.element_ty), mask)


@triton.jit
def _small_dot(left, right):
    """Of float32 blocks, in three TF32 products that keep float32's precision."""
    return tl.dot(left, right, input_precision="tf32x3")


@triton.jit
def _merge(inverse, system, row, column, SIDE: tl.constexpr):
    """The inverse of blocks of 2 * SIDE from that of blocks of SIDE."""
    is_left_below = (row // SIDE % 2 == 1)[:, None] & ((row // SIDE)[:, None] == (column // SIDE)[None, :] + 1)
    part = tl.where(is_left_below, system, 0.0)
    return inverse - _small_dot(inverse, _small_dot(part, inverse))


@triton.jit
def _invert_block(system, row, column):
    """(I + system)^-1 of a strictly lower block [16, 16]."""
    inverse = tl.where(row[:, None] == column[None, :], 1.0, 0.0)
    is_left_below = (row % 2 == 1)[:, None] & (row[:, None] == column[None, :] + 1)
    inverse -= tl.where(is_left_below, system, 0.0)
    inverse = _merge(inverse, system, row, column, 2)
    inverse = _merge(inverse, system, row, column, 4)
    return _merge(inverse, system, row, column, 8)


@triton.jit
def _keys(key, block, places, stride, WIDTH: tl.constexpr, PADDED: tl.constexpr):
    """[16, PADDED] of a block; zeros at places without a token."""
    position, column = tl.arange(0, BLOCK) + block * BLOCK, tl.arange(0, PADDED)
    mask = (position < places)[:, None] & (column < WIDTH)[None, :]
    return tl.load(key + position[:, None] * stride + column[None, :], mask, other=0.0)


@triton.jit
def _rates(total_decay, beta, block, places, HEADS: tl.constexpr):
    """Cumulative decay and beta of a block [16]; places without a token have those of the last one, and 0."""
    position = tl.arange(0, BLOCK) + block * BLOCK
    total = tl.load(total_decay + tl.minimum(position, places - 1) * HEADS)
    return total, tl.load(beta + position * HEADS, position < places, other=0.0).to(tl.float32)


@triton.jit
def _system(keys, total, rate, other_keys, other_total):
    """The block of A between two blocks."""
    products = tl.dot(keys, tl.trans(other_keys), input_precision="ieee")
    return products * rate[:, None] * tl.exp(total[:, None] - other_total[None, :])


@triton.jit(do_not_specialize=["segments", "tokens"])
def diagonal_kernel(
    key, log_decay, beta, total_decay, diagonal, cu_seqlens, segments, tokens, key_stride: tl.constexpr,
    HEADS: tl.constexpr, REPEATS: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr, BOUNDS: tl.constexpr,
):  # fmt: skip
    """G [T, H] and the inverse of the blocks on the diagonal [tiles, H, 4, 16, 16]; a program has one block."""
    tile, head, block = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    segment, start, length, first = locate_tile(cu_seqlens, segments, tokens, tile, CHUNK, BOUNDS)
    places = length - first
    if (places <= 0) | (segment == segments):
        return
    token = (start + first) * HEADS + head
    row, column, chunk = tl.arange(0, BLOCK), tl.arange(0, BLOCK), tl.arange(0, CHUNK)
    earlier = (chunk < block * BLOCK) & (chunk < places)
    before = tl.sum(tl.load(log_decay + token + chunk * HEADS, earlier, other=0.0).to(tl.float32), 0)
    position = row + block * BLOCK
    decay = tl.load(log_decay + token + position * HEADS, position < places, other=0.0).to(tl.float32)
    total = before + tl.cumsum(decay, 0)
    tl.store(total_decay + token + position * HEADS, total, position < places)
    rate = tl.load(beta + token + position * HEADS, position < places, other=0.0).to(tl.float32)
    keys = _keys(key + (start + first) * key_stride + head // REPEATS * WIDTH, block, places, key_stride, WIDTH, PADDED)
    is_before = row[:, None] > column[None, :]
    between = tl.exp(tl.where(is_before, total[:, None] - total[None, :], 0.0))
    products = tl.dot(keys, tl.trans(keys), input_precision="ieee") * rate[:, None] * between
    inverse = _invert_block(tl.where(is_before, products, 0.0), row, column)
    at = diagonal + ((tile.to(tl.int64) * HEADS + head) * 4 + block) * BLOCK * BLOCK
    tl.store(at + row[:, None] * BLOCK + column[None, :], inverse)


@triton.jit
def _diagonal(diagonal, row, column, BLOCK_NUMBER: tl.constexpr):
    return tl.load(diagonal + (row + BLOCK_NUMBER * BLOCK)[:, None] * BLOCK + column[None, :])


@triton.jit
def _store_block(inverse, block, row, column, ROW: tl.constexpr, COLUMN: tl.constexpr):
    at = (row + ROW * BLOCK)[:, None] * CHUNK + column[None, :] + COLUMN * BLOCK
    tl.store(inverse + at, block.to(inverse.dtype.element_ty))


@triton.jit(do_not_specialize=["segments", "tokens"])
def inverse_kernel(
    key, beta, total_decay, diagonal, inverse, cu_seqlens, segments, tokens, key_stride: tl.constexpr,
    HEADS: tl.constexpr, REPEATS: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr, BOUNDS: tl.constexpr,
):  # fmt: skip
    """The inverse [tiles, H, 64, 64] of a chunk and head; blocks above the diagonal are not written.

    Row by row of blocks; keys are read again for each, which takes fewer registers than to keep them.
    """
    tile, head = tl.program_id(0), tl.program_id(1)
    segment, start, length, first = locate_tile(cu_seqlens, segments, tokens, tile, CHUNK, BOUNDS)
    places = length - first
    if (places <= 0) | (segment == segments):
        return
    key += (start + first) * key_stride + head // REPEATS * WIDTH
    total_decay += (start + first) * HEADS + head
    beta += (start + first) * HEADS + head
    diagonal += (tile.to(tl.int64) * HEADS + head) * 4 * BLOCK * BLOCK
    inverse += (tile.to(tl.int64) * HEADS + head) * CHUNK * CHUNK
    row, column = tl.arange(0, BLOCK), tl.arange(0, BLOCK)
    g0, rate = _rates(total_decay, beta, 0, places, HEADS)
    t00 = _diagonal(diagonal, row, column, 0)
    _store_block(inverse, t00, row, column, 0, 0)

    g1, rate = _rates(total_decay, beta, 1, places, HEADS)
    keys = _keys(key, 1, places, key_stride, WIDTH, PADDED)
    t11 = _diagonal(diagonal, row, column, 1)
    a10 = _system(keys, g1, rate, _keys(key, 0, places, key_stride, WIDTH, PADDED), g0)
    t10 = -_small_dot(t11, _small_dot(a10, t00))
    _store_block(inverse, t11, row, column, 1, 1)
    _store_block(inverse, t10, row, column, 1, 0)

    g2, rate = _rates(total_decay, beta, 2, places, HEADS)
    keys = _keys(key, 2, places, key_stride, WIDTH, PADDED)
    t22 = _diagonal(diagonal, row, column, 2)
    a21 = _system(keys, g2, rate, _keys(key, 1, places, key_stride, WIDTH, PADDED), g1)
    a20 = _system(keys, g2, rate, _keys(key, 0, places, key_stride, WIDTH, PADDED), g0)
    t21 = -_small_dot(t22, _small_dot(a21, t11))
    t20 = -_small_dot(t22, _small_dot(a20, t00) + _small_dot(a21, t10))
    _store_block(inverse, t22, row, column, 2, 2)
    _store_block(inverse, t21, row, column, 2, 1)
    _store_block(inverse, t20, row, column, 2, 0)

    g3, rate = _rates(total_decay, beta, 3, places, HEADS)
    keys = _keys(key, 3, places, key_stride, WIDTH, PADDED)
    t33 = _diagonal(diagonal, row, column, 3)
    a32 = _system(keys, g3, rate, _keys(key, 2, places, key_stride, WIDTH, PADDED), g2)
    a31 = _system(keys, g3, rate, _keys(key, 1, places, key_stride, WIDTH, PADDED), g1)
    a30 = _system(keys, g3, rate, _keys(key, 0, places, key_stride, WIDTH, PADDED), g0)
    t32 = -_small_dot(t33, _small_dot(a32, t22))
    t31 = -_small_dot(t33, _small_dot(a31, t11) + _small_dot(a32, t21))
    t30 = -_small_dot(t33, _small_dot(a30, t00) + _small_dot(a31, t10) + _small_dot(a32, t20))
    _store_block(inverse, t33, row, column, 3, 3)
    _store_block(inverse, t32, row, column, 3, 2)
    _store_block(inverse, t31, row, column, 3, 1)
    _store_block(inverse, t30, row, column, 3, 0)
