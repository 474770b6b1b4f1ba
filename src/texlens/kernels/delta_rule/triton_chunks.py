"""Device code of the recurrence over the chunks of each segment, forward and backward.

With S the state before a chunk, G the cumulative logarithm of the decay, and T the inverse of the chunk's system:

    new = T (beta (v - exp(G) k S));  output = exp(G) q S + M new;  M[i, j] = (q[i] . k[j]) exp(G[i] - G[j]), j <= i
    next S = exp(G[last]) S + k' (exp(G[last] - G) new)

(Yang et al. 2025, arXiv:2412.06464, section 3.3.) `states_kernel` and its backward run through the chunks of a segment;
everything else is one program a chunk. States and sums are float32, the sides of products have the dtype of the inputs.
Products have loaded tiles, or results as they are, on their left side; see `triton_prepare`.
"""

import triton
import triton.language as tl

from texlens.kernels.attention.triton_kernels import load_tile, locate_tile
from texlens.kernels.delta_rule.triton_prepare import CHUNK


@triton.jit
def dot(left, right):
    return tl.dot(left, right, input_precision="ieee")


@triton.jit
def _load_inverse(inverse, row, TRANSPOSED: tl.constexpr):
    """[64, 64] of a chunk, 0 above the diagonal."""
    if TRANSPOSED:
        tile = tl.load(inverse + row[None, :] * CHUNK + row[:, None], row[None, :] >= row[:, None], other=0.0)
    else:
        tile = tl.load(inverse + row[:, None] * CHUNK + row[None, :], row[:, None] >= row[None, :], other=0.0)
    return tile


@triton.jit
def _decay_between(total, row, places, TRANSPOSED: tl.constexpr):
    """exp(G[i] - G[j]) for tokens j <= i, else 0; [i, j], or [j, i] if transposed."""
    if TRANSPOSED:
        mask = (row[None, :] >= row[:, None]) & (row < places)[None, :]
        difference = total[None, :] - total[:, None]
    else:
        mask = (row[:, None] >= row[None, :]) & (row < places)[:, None]
        difference = total[:, None] - total[None, :]
    return tl.where(mask, tl.exp(tl.where(mask, difference, 0.0)), 0.0)


@triton.jit
def states_kernel(
    key, value, beta, total_decay, inverse, initial, states, new, final, cu_seqlens, value_stride: tl.constexpr,
    HEADS: tl.constexpr, REPEATS: tl.constexpr, X: tl.constexpr, Y: tl.constexpr, PX: tl.constexpr,
    COLUMNS: tl.constexpr, INITIAL: tl.constexpr,
):  # fmt: skip
    """States before each chunk [tiles, H, X, Y], what places write [T, H, Y], and final states [S, H, X, Y]."""
    PARTS: tl.constexpr = (Y + COLUMNS - 1) // COLUMNS
    part, head = tl.program_id(0) % PARTS, tl.program_id(0) // PARTS % HEADS
    segment = tl.program_id(0) // (PARTS * HEADS)
    start = tl.load(cu_seqlens + segment).to(tl.int64)
    length = (tl.load(cu_seqlens + segment + 1) - start).to(tl.int32)
    tile = start // CHUNK + segment
    row, x, y = tl.arange(0, CHUNK), tl.arange(0, PX), part * COLUMNS + tl.arange(0, COLUMNS)
    is_state = (x < X)[:, None] & (y < Y)[None, :]
    at_state = x[:, None] * Y + y[None, :]
    key_stride: tl.constexpr = HEADS // REPEATS * X
    whole = (segment.to(tl.int64) * HEADS + head) * X * Y + at_state
    state = tl.zeros([PX, COLUMNS], tl.float32)
    if INITIAL:
        state = tl.load(initial + whole, is_state, other=0.0).to(tl.float32)
    for first in range(0, length, CHUNK):
        places = length - first
        is_token = row < places
        token = start + first + row
        chunk = (tile + first // CHUNK) * HEADS + head
        rounded = state.to(key.dtype.element_ty)
        tl.store(states + chunk * X * Y + at_state, rounded, is_state)
        keys = load_tile(key + token[:, None] * key_stride + head // REPEATS * X + x[None, :], is_token, x, X, PX)
        total = tl.load(total_decay + token * HEADS + head, is_token, other=0.0)
        last = tl.load(total_decay + (start + tl.minimum(first + CHUNK, length) - 1) * HEADS + head)
        rate = tl.load(beta + token * HEADS + head, is_token, other=0.0).to(tl.float32)
        at_value = token[:, None] * value_stride + head * Y + y[None, :]
        values = tl.load(value + at_value, is_token[:, None] & (y < Y)[None, :], other=0.0).to(tl.float32)
        right = (values - dot(keys, rounded) * tl.exp(total)[:, None]) * rate[:, None]
        solved = dot(_load_inverse(inverse + chunk * CHUNK * CHUNK, row, False), right.to(key.dtype.element_ty))
        at_new = token[:, None] * (HEADS * Y) + head * Y + y[None, :]
        tl.store(new + at_new, solved.to(new.dtype.element_ty), is_token[:, None] & (y < Y)[None, :])
        remaining = tl.where(is_token, tl.exp(last - total), 0.0)
        written = dot(tl.trans(keys), (solved * remaining[:, None]).to(key.dtype.element_ty))
        state = state * tl.exp(last) + written
    tl.store(final + whole, state, is_state)


@triton.jit(do_not_specialize=["segments", "tokens"])
def outputs_kernel(
    query, key, total_decay, states, new, output, cu_seqlens, segments, tokens,
    HEADS: tl.constexpr, REPEATS: tl.constexpr, X: tl.constexpr, Y: tl.constexpr, PX: tl.constexpr,
    COLUMNS: tl.constexpr, BOUNDS: tl.constexpr,
):  # fmt: skip
    """Outputs [T, H, Y] of a chunk and head; 0 in tokens after the last segment."""
    tile, head = tl.program_id(1), tl.program_id(2)
    segment, start, length, first = locate_tile(cu_seqlens, segments, tokens, tile, CHUNK, BOUNDS)
    if first >= length:
        return
    row, x, y = tl.arange(0, CHUNK), tl.arange(0, PX), tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    is_token = row < length - first
    token = start + first + row
    is_result = is_token[:, None] & (y < Y)[None, :]
    at = token[:, None] * (HEADS * Y) + head * Y + y[None, :]
    if segment == segments:
        tl.store(output + at, tl.zeros([CHUNK, COLUMNS], output.dtype.element_ty), is_result)
        return
    key_stride: tl.constexpr = HEADS // REPEATS * X
    at_key = token[:, None] * key_stride + head // REPEATS * X + x[None, :]
    queries, keys = load_tile(query + at_key, is_token, x, X, PX), load_tile(key + at_key, is_token, x, X, PX)
    total = tl.load(total_decay + token * HEADS + head, is_token, other=0.0)
    at_state = (tile.to(tl.int64) * HEADS + head) * X * Y + x[:, None] * Y + y[None, :]
    state = tl.load(states + at_state, (x < X)[:, None] & (y < Y)[None, :], other=0.0)
    changes = tl.load(new + at, is_result, other=0.0)
    scores = dot(queries, tl.trans(keys)) * _decay_between(total, row, length - first, False)
    result = dot(queries, state) * tl.exp(total)[:, None] + dot(scores.to(key.dtype.element_ty), changes)
    tl.store(output + at, result.to(output.dtype.element_ty), is_result)


@triton.jit(do_not_specialize=["segments", "tokens"])
def grad_new_kernel(
    query, key, total_decay, grad, grad_new, cu_seqlens, segments, tokens,
    HEADS: tl.constexpr, REPEATS: tl.constexpr, X: tl.constexpr, Y: tl.constexpr, PX: tl.constexpr,
    COLUMNS: tl.constexpr, BOUNDS: tl.constexpr,
):  # fmt: skip
    """M' grad: the part of the gradient of `new` [T, H, Y] that comes from the outputs of its chunk."""
    tile, head = tl.program_id(1), tl.program_id(2)
    segment, start, length, first = locate_tile(cu_seqlens, segments, tokens, tile, CHUNK, BOUNDS)
    if (first >= length) | (segment == segments):
        return
    row, x, y = tl.arange(0, CHUNK), tl.arange(0, PX), tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    is_token = row < length - first
    token = start + first + row
    is_result = is_token[:, None] & (y < Y)[None, :]
    at = token[:, None] * (HEADS * Y) + head * Y + y[None, :]
    key_stride: tl.constexpr = HEADS // REPEATS * X
    at_key = token[:, None] * key_stride + head // REPEATS * X + x[None, :]
    queries, keys = load_tile(query + at_key, is_token, x, X, PX), load_tile(key + at_key, is_token, x, X, PX)
    total = tl.load(total_decay + token * HEADS + head, is_token, other=0.0)
    grads = tl.load(grad + at, is_result, other=0.0)
    scores = dot(keys, tl.trans(queries)) * _decay_between(total, row, length - first, True)
    result = dot(scores.to(key.dtype.element_ty), grads)
    tl.store(grad_new + at, result.to(grad_new.dtype.element_ty), is_result)


@triton.jit
def states_backward_kernel(
    query, key, beta, total_decay, inverse, grad, grad_new, grad_final, grad_states, grad_right, grad_initial,
    cu_seqlens, HEADS: tl.constexpr, REPEATS: tl.constexpr, X: tl.constexpr, Y: tl.constexpr, PX: tl.constexpr,
    COLUMNS: tl.constexpr, FINAL: tl.constexpr, INITIAL: tl.constexpr,
):  # fmt: skip
    """Gradients of the state after each chunk [tiles, H, X, Y], of the right side of its system [T, H, Y], and of the
    initial states [S, H, X, Y]."""
    PARTS: tl.constexpr = (Y + COLUMNS - 1) // COLUMNS
    part, head = tl.program_id(0) % PARTS, tl.program_id(0) // PARTS % HEADS
    segment = tl.program_id(0) // (PARTS * HEADS)
    start = tl.load(cu_seqlens + segment).to(tl.int64)
    length = (tl.load(cu_seqlens + segment + 1) - start).to(tl.int32)
    tile = start // CHUNK + segment
    row, x, y = tl.arange(0, CHUNK), tl.arange(0, PX), part * COLUMNS + tl.arange(0, COLUMNS)
    is_state = (x < X)[:, None] & (y < Y)[None, :]
    at_state = x[:, None] * Y + y[None, :]
    key_stride: tl.constexpr = HEADS // REPEATS * X
    whole = (segment.to(tl.int64) * HEADS + head) * X * Y + at_state
    grad_state = tl.zeros([PX, COLUMNS], tl.float32)
    if FINAL:
        grad_state = tl.load(grad_final + whole, is_state, other=0.0).to(tl.float32)
    chunks = tl.cdiv(length, CHUNK)
    for done in range(chunks):
        first = (chunks - 1 - done) * CHUNK
        is_token = row < length - first
        token = start + first + row
        chunk = (tile + first // CHUNK) * HEADS + head
        rounded = grad_state.to(key.dtype.element_ty)
        tl.store(grad_states + chunk * X * Y + at_state, rounded, is_state)
        at_key = token[:, None] * key_stride + head // REPEATS * X + x[None, :]
        queries, keys = load_tile(query + at_key, is_token, x, X, PX), load_tile(key + at_key, is_token, x, X, PX)
        total = tl.load(total_decay + token * HEADS + head, is_token, other=0.0)
        last = tl.load(total_decay + (start + tl.minimum(first + CHUNK, length) - 1) * HEADS + head)
        rate = tl.load(beta + token * HEADS + head, is_token, other=0.0).to(tl.float32)
        is_result = is_token[:, None] & (y < Y)[None, :]
        at = token[:, None] * (HEADS * Y) + head * Y + y[None, :]
        of_new = tl.load(grad_new + at, is_result, other=0.0).to(tl.float32)
        remaining = tl.where(is_token, tl.exp(last - total), 0.0)
        of_new += dot(keys, rounded) * remaining[:, None]
        transposed = _load_inverse(inverse + chunk * CHUNK * CHUNK, row, True)
        of_right = dot(transposed, of_new.to(key.dtype.element_ty))
        tl.store(grad_right + at, of_right.to(grad_right.dtype.element_ty), is_result)
        grown = tl.exp(total)
        of_product = (of_right * (-rate * grown)[:, None]).to(key.dtype.element_ty)
        grads = tl.load(grad + at, is_result, other=0.0).to(tl.float32)
        of_output = (grads * grown[:, None]).to(key.dtype.element_ty)
        grad_state = grad_state * tl.exp(last) + dot(tl.trans(queries), of_output) + dot(tl.trans(keys), of_product)
    if INITIAL:
        tl.store(grad_initial + whole, grad_state, is_state)


@triton.jit(do_not_specialize=["segments", "tokens"])
def grad_reads_kernel(
    query, key, value, beta, total_decay, states, new, grad, grad_right, grad_query, grad_key, grad_total, grad_beta,
    cu_seqlens, segments, tokens, value_stride: tl.constexpr, HEADS: tl.constexpr, REPEATS: tl.constexpr,
    X: tl.constexpr, Y: tl.constexpr, PY: tl.constexpr, COLUMNS: tl.constexpr, BOUNDS: tl.constexpr,
):  # fmt: skip
    """Gradients of queries and of keys that read the state, [T, H, X], and the parts [X / COLUMNS, T, H] of those of G
    and beta. G grows both, so that its gradient is theirs by their inputs."""
    part, tile, head = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    segment, start, length, first = locate_tile(cu_seqlens, segments, tokens, tile, CHUNK, BOUNDS)
    if first >= length:
        return
    row, x, y = tl.arange(0, CHUNK), part * COLUMNS + tl.arange(0, COLUMNS), tl.arange(0, PY)
    places = length - first
    is_token = row < places
    token = start + first + row
    is_result = is_token[:, None] & (x < X)[None, :]
    at = token[:, None] * (HEADS * X) + head * X + x[None, :]
    at_rate = token * HEADS + head
    at_part = part.to(tl.int64) * tokens * HEADS + at_rate
    dtype: tl.constexpr = key.dtype.element_ty
    if segment == segments:
        tl.store(grad_query + at, tl.zeros([CHUNK, COLUMNS], dtype), is_result)
        tl.store(grad_key + at, tl.zeros([CHUNK, COLUMNS], dtype), is_result)
        tl.store(grad_total + at_part, tl.zeros([CHUNK], tl.float32), is_token)
        tl.store(grad_beta + at_part, tl.zeros([CHUNK], tl.float32), is_token)
        return
    key_stride: tl.constexpr = HEADS // REPEATS * X
    at_key = token[:, None] * key_stride + head // REPEATS * X + x[None, :]
    queries, keys = tl.load(query + at_key, is_result, other=0.0), tl.load(key + at_key, is_result, other=0.0)
    total = tl.load(total_decay + at_rate, is_token, other=0.0)
    rate = tl.load(beta + at_rate, is_token, other=0.0).to(tl.float32)
    at_value = token[:, None] * (HEADS * Y) + head * Y + y[None, :]
    grads = load_tile(grad + at_value, is_token, y, Y, PY)
    changes = load_tile(new + at_value, is_token, y, Y, PY)
    of_right = load_tile(grad_right + at_value, is_token, y, Y, PY)
    at_state = (tile.to(tl.int64) * HEADS + head) * X * Y + x[:, None] * Y + y[None, :]
    state = load_tile(states + at_state, x < X, y, Y, PY)
    grown = tl.exp(total)
    between = _decay_between(total, row, places, False)

    of_scores = (dot(grads, tl.trans(changes)) * between).to(dtype)
    of_queries = dot(grads, tl.trans(state)) * grown[:, None] + dot(of_scores, keys)
    tl.store(grad_query + at, of_queries.to(dtype), is_result)
    of_total = tl.sum(of_queries * queries.to(tl.float32), 1)

    of_system = -dot(of_right, tl.trans(changes)) * between
    of_system = tl.where(row[:, None] > row[None, :], of_system, 0.0).to(dtype)
    of_read = dot(of_system, keys) - dot(of_right, tl.trans(state)) * grown[:, None]
    tl.store(grad_key + at, (of_read * rate[:, None]).to(dtype), is_result)
    of_rate = tl.sum(of_read * keys.to(tl.float32), 1)
    tl.store(grad_total + at_part, of_total + rate * of_rate, is_token)
    if part == 0:
        at_input = token[:, None] * value_stride + head * Y + y[None, :]
        of_rate += tl.sum(of_right.to(tl.float32) * load_tile(value + at_input, is_token, y, Y, PY).to(tl.float32), 1)
    tl.store(grad_beta + at_part, of_rate, is_token)


@triton.jit(do_not_specialize=["segments", "tokens"])
def grad_writes_kernel(
    query, key, beta, total_decay, states, grad_states, new, grad, grad_right, grad_key, grad_total,
    cu_seqlens, segments, tokens, HEADS: tl.constexpr, REPEATS: tl.constexpr,
    X: tl.constexpr, Y: tl.constexpr, PY: tl.constexpr, COLUMNS: tl.constexpr, BOUNDS: tl.constexpr,
):  # fmt: skip
    """Gradients of keys that what is written is under, [T, H, X], and the parts [X / COLUMNS, T, H] of that of G, which
    shrinks them."""
    part, tile, head = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    segment, start, length, first = locate_tile(cu_seqlens, segments, tokens, tile, CHUNK, BOUNDS)
    if first >= length:
        return
    row, x, y = tl.arange(0, CHUNK), part * COLUMNS + tl.arange(0, COLUMNS), tl.arange(0, PY)
    places = length - first
    is_token = row < places
    token = start + first + row
    is_result = is_token[:, None] & (x < X)[None, :]
    at = token[:, None] * (HEADS * X) + head * X + x[None, :]
    at_rate = token * HEADS + head
    at_part = part.to(tl.int64) * tokens * HEADS + at_rate
    dtype: tl.constexpr = key.dtype.element_ty
    if segment == segments:
        tl.store(grad_key + at, tl.zeros([CHUNK, COLUMNS], dtype), is_result)
        tl.store(grad_total + at_part, tl.zeros([CHUNK], tl.float32), is_token)
        return
    key_stride: tl.constexpr = HEADS // REPEATS * X
    at_key = token[:, None] * key_stride + head // REPEATS * X + x[None, :]
    queries, keys = tl.load(query + at_key, is_result, other=0.0), tl.load(key + at_key, is_result, other=0.0)
    total = tl.load(total_decay + at_rate, is_token, other=0.0)
    last = tl.load(total_decay + (start + tl.minimum(first + CHUNK, length) - 1) * HEADS + head)
    rate = tl.load(beta + at_rate, is_token, other=0.0).to(tl.float32)
    at_value = token[:, None] * (HEADS * Y) + head * Y + y[None, :]
    grads = load_tile(grad + at_value, is_token, y, Y, PY)
    changes = load_tile(new + at_value, is_token, y, Y, PY)
    of_right = load_tile(grad_right + at_value, is_token, y, Y, PY)
    at_state = (tile.to(tl.int64) * HEADS + head) * X * Y + x[:, None] * Y + y[None, :]
    of_state = load_tile(grad_states + at_state, x < X, y, Y, PY)
    between = _decay_between(total, row, places, True)

    of_last = dot(changes, tl.trans(of_state)) * tl.where(is_token, tl.exp(last - total), 0.0)[:, None]
    of_scores = (dot(changes, tl.trans(grads)) * between).to(dtype)
    of_system = -dot(changes, tl.trans(of_right)) * between * rate[None, :]
    of_system = tl.where(row[None, :] > row[:, None], of_system, 0.0).to(dtype)
    of_written = of_last + dot(of_scores, queries) + dot(of_system, keys)
    tl.store(grad_key + at, of_written.to(dtype), is_result)

    state = load_tile(states + at_state, x < X, y, Y, PY)
    keys_f32 = keys.to(tl.float32)
    of_end = tl.sum(of_last * keys_f32) + tl.exp(last) * tl.sum(state.to(tl.float32) * of_state.to(tl.float32))
    is_last = row == tl.minimum(places, CHUNK) - 1
    tl.store(grad_total + at_part, tl.where(is_last, of_end, 0.0) - tl.sum(of_written * keys_f32, 1), is_token)


@triton.jit(do_not_specialize=["segments", "tokens"])
def grad_rates_kernel(
    grad_total, grad_beta, grad_right, beta, grad_decay, grad_rate, grad_value, cu_seqlens, segments, tokens,
    grad_value_stride: tl.constexpr,
    HEADS: tl.constexpr, Y: tl.constexpr, PY: tl.constexpr, PARTS: tl.constexpr, BOUNDS: tl.constexpr,
):  # fmt: skip
    """Gradients of the decay's logarithm and of beta [T, H] from their parts, and of the values [T, H, Y]."""
    tile, head = tl.program_id(0), tl.program_id(1)
    segment, start, length, first = locate_tile(cu_seqlens, segments, tokens, tile, CHUNK, BOUNDS)
    if first >= length:
        return
    row, y = tl.arange(0, CHUNK), tl.arange(0, PY)
    is_token = row < length - first
    at_rate = (start + first + row) * HEADS + head
    of_total, of_rate = tl.zeros([CHUNK], tl.float32), tl.zeros([CHUNK], tl.float32)
    for part in tl.static_range(PARTS):
        at_part = at_rate + part * tokens.to(tl.int64) * HEADS
        of_total += tl.load(grad_total + at_part, is_token, other=0.0)
        of_total += tl.load(grad_total + at_part + PARTS * tokens.to(tl.int64) * HEADS, is_token, other=0.0)
        of_rate += tl.load(grad_beta + at_part, is_token, other=0.0)
    tl.store(grad_decay + at_rate, tl.cumsum(of_total, 0, reverse=True), is_token)
    tl.store(grad_rate + at_rate, of_rate, is_token)
    at = at_rate[:, None] * Y + y[None, :]
    to = (start + first + row)[:, None] * grad_value_stride + head * Y + y[None, :]
    result = tl.zeros([CHUNK, PY], tl.float32)
    if segment != segments:
        rate = tl.load(beta + at_rate, is_token, other=0.0).to(tl.float32)
        result = load_tile(grad_right + at, is_token, y, Y, PY).to(tl.float32) * rate[:, None]
    tl.store(grad_value + to, result.to(grad_value.dtype.element_ty), is_token[:, None] & (y < Y)[None, :])
