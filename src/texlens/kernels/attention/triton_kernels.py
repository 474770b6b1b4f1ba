"""Device code of attention within short segments.

The query heads of one key head are side by side in a tile: a tile of 64 rows holds 16 positions of 4 heads. So a causal
tile wastes little above its diagonal, and the gradients of keys and values are summed over those heads in registers.
The backward pass is two kernels, one program a tile of queries and one a tile of keys, without atomics, so that equal
runs give equal numbers.

Each kernel has one loop over tiles, which runs at least once, and masks inside it. Accumulators that pass from one loop
to the next, such as one for unmasked tiles, can make ptxas serialize the products: a third slower, reported only by
its `-v` (C7515). Online softmax: Dao 2023, arXiv:2307.08691.

With PREFIXED a segment's keys are those of its prefix followed by its own, one virtual run of `before + length` keys:
only the addresses of keys differ. All branches follow their prefix in the sequence, so the queries of a prefix's keys
are one run too, up to the end of the group.
"""

import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def load_tile(at, is_row, column, WIDTH: tl.constexpr, PADDED: tl.constexpr):
    """A tile of rows, 0 in invalid rows and in columns beyond the width."""
    if WIDTH == PADDED:
        tile = tl.load(at, is_row[:, None], other=0.0)
    else:
        tile = tl.load(at, is_row[:, None] & (column < WIDTH)[None, :], other=0.0)
    return tile


@triton.jit
def _scores(q, k):
    return tl.dot(q, tl.trans(k), input_precision="ieee")


@triton.jit
def locate_tile(cu_seqlens, segments, tokens, tile, POSITIONS: tl.constexpr, BOUNDS: tl.constexpr):
    """The segment of a tile, its start and length, and the first position of the tile in it, from a single load."""
    index = tl.arange(0, BOUNDS)
    bounds = tl.load(cu_seqlens + index, index <= segments, other=0)
    has_begun = (index <= segments) & (bounds // POSITIONS + index <= tile)
    segment = tl.sum(has_begun.to(tl.int32)) - 1
    start = tl.max(tl.where(has_begun, bounds, 0))
    end = tl.min(tl.where(has_begun | (index > segments), tokens, bounds))
    return segment, start.to(tl.int64), end - start, (tile - start // POSITIONS - segment) * POSITIONS


@triton.jit
def _is_valid_row(row, positions, ROWS: tl.constexpr, GROUP: tl.constexpr):
    """Which rows of a tile hold one of `positions` positions."""
    is_row = row < positions * GROUP
    if ROWS % GROUP != 0:
        is_row = is_row & (row < ROWS // GROUP * GROUP)
    return is_row


@triton.jit
def _row_offsets(row, column, stride, GROUP: tl.constexpr, WIDTH: tl.constexpr):
    """Offsets of the rows of a tile, several heads for each position, from its first."""
    return (row // GROUP * stride + row % GROUP * WIDTH)[:, None] + column[None, :]


@triton.jit
def _key_tokens(key_index, start, prefix_start, before):
    """The tokens of virtual keys: of the prefix, then of the segment."""
    return tl.where(key_index < before, prefix_start + key_index, start + key_index - before)


@triton.jit
def _mask_scores(
    x, fill, offset, key_index, position, length, unmasked_keys,
    KEYS: tl.constexpr, CAUSAL: tl.constexpr, BRANCH: tl.constexpr,
):  # fmt: skip
    """x [rows, keys] with `fill` where a row does not attend to a key. BRANCH: only past `unmasked_keys`."""
    if not BRANCH or offset + KEYS > unmasked_keys:
        if CAUSAL:
            x = tl.where((offset + key_index)[None, :] <= position[:, None], x, fill)
        else:
            x = tl.where((offset + key_index < length)[None, :], x, fill)
    return x


@triton.jit(do_not_specialize=["segments", "tokens"])
def forward_kernel(
    query, key, value, output, log_sums, cu_seqlens, prefix_starts, prefix_ends, segments, tokens,
    query_stride: tl.constexpr, key_stride: tl.constexpr, value_stride: tl.constexpr,
    output_stride: tl.constexpr, softmax_scale,
    HEADS: tl.constexpr, GROUP: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr, BOUNDS: tl.constexpr,
    CAUSAL: tl.constexpr, BRANCH: tl.constexpr, PREFIXED: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):  # fmt: skip
    POSITIONS: tl.constexpr = ROWS // GROUP
    tile = tl.num_programs(0) - 1 - tl.program_id(0)
    segment, start, length, first_position = locate_tile(cu_seqlens, segments, tokens, tile, POSITIONS, BOUNDS)
    if first_position >= length:
        return
    group = tl.program_id(1)
    row, key_index, column = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, PADDED)
    is_row = _is_valid_row(row, length - first_position, ROWS, GROUP)
    mask = is_row[:, None] & (column < WIDTH)[None, :]
    output += (start + first_position) * output_stride + group * GROUP * WIDTH
    output_offsets = _row_offsets(row, column, output_stride, GROUP, WIDTH)
    log_sums += (group.to(tl.int64) * tokens + start + first_position) * GROUP
    accumulator = tl.zeros([ROWS, PADDED], tl.float32)
    if segment == segments:
        tl.store(output + output_offsets, accumulator.to(output.dtype.element_ty), mask)
        tl.store(log_sums + row, tl.zeros([ROWS], tl.float32), is_row)
        return
    query += (start + first_position) * query_stride + group * GROUP * WIDTH
    q = load_tile(query + _row_offsets(row, column, query_stride, GROUP, WIDTH), is_row, column, WIDTH, PADDED)
    key += group * WIDTH
    value += group * WIDTH
    before, prefix_start = 0, start
    if PREFIXED:
        prefix_start = tl.load(prefix_starts + segment).to(tl.int64)
        before = tl.load(prefix_ends + segment) - tl.load(prefix_starts + segment)
    else:
        key += start * key_stride
        value += start * value_stride
    length, first_position = before + length, before + first_position
    key_offsets = (key_index * key_stride)[:, None] + column[None, :]
    value_offsets = (key_index * value_stride)[:, None] + column[None, :]
    scale = softmax_scale * LOG2_E
    position = first_position + row // GROUP
    row_max, row_sum = tl.full([ROWS], float("-inf"), tl.float32), tl.zeros([ROWS], tl.float32)
    last_key, unmasked_keys = length, length
    if CAUSAL:
        last_key, unmasked_keys = tl.minimum(first_position + POSITIONS, length), first_position + 1
    for offset in range(0, last_key, KEYS):
        is_key = key_index < length - offset
        token = offset + key_index
        if PREFIXED:
            token = _key_tokens(token, start, prefix_start, before)
            k = load_tile(key + token[:, None] * key_stride + column[None, :], is_key, column, WIDTH, PADDED)
        else:
            k = load_tile(key + offset * key_stride + key_offsets, is_key, column, WIDTH, PADDED)
        scores = _scores(q, k)
        scores = _mask_scores(
            scores, float("-inf"), offset, key_index, position, length, unmasked_keys, KEYS, CAUSAL, BRANCH
        )
        new_max = tl.maximum(row_max, tl.max(scores, 1) * scale)
        weights = tl.exp2(scores * scale - new_max[:, None])
        correction = tl.exp2(row_max - new_max)
        if PREFIXED:
            v = load_tile(value + token[:, None] * value_stride + column[None, :], is_key, column, WIDTH, PADDED)
        else:
            v = load_tile(value + offset * value_stride + value_offsets, is_key, column, WIDTH, PADDED)
        accumulator = tl.dot(weights.to(v.dtype), v, accumulator * correction[:, None], input_precision="ieee")
        row_sum = row_sum * correction + tl.sum(weights, 1)
        row_max = new_max
    tl.store(output + output_offsets, (accumulator / row_sum[:, None]).to(output.dtype.element_ty), mask)
    tl.store(log_sums + row, row_max + tl.log2(row_sum), is_row)


@triton.jit(do_not_specialize=["segments", "tokens"])
def grad_queries_kernel(
    grad, query, key, value, output, log_sums, delta, dquery, cu_seqlens, prefix_starts, prefix_ends, segments, tokens,
    grad_stride: tl.constexpr, query_stride: tl.constexpr, key_stride: tl.constexpr, value_stride: tl.constexpr,
    output_stride: tl.constexpr, softmax_scale,
    HEADS: tl.constexpr, GROUP: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr, BOUNDS: tl.constexpr,
    CAUSAL: tl.constexpr, BRANCH: tl.constexpr, PREFIXED: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):  # fmt: skip
    POSITIONS: tl.constexpr = ROWS // GROUP
    tile = tl.num_programs(0) - 1 - tl.program_id(0)
    segment, start, length, first_position = locate_tile(cu_seqlens, segments, tokens, tile, POSITIONS, BOUNDS)
    if first_position >= length:
        return
    group = tl.program_id(1)
    row, key_index, column = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, PADDED)
    is_row = _is_valid_row(row, length - first_position, ROWS, GROUP)
    mask = is_row[:, None] & (column < WIDTH)[None, :]
    offsets = _row_offsets(row, column, HEADS * WIDTH, GROUP, WIDTH)
    dquery += (start + first_position) * HEADS * WIDTH + group * GROUP * WIDTH
    row_base = (group.to(tl.int64) * tokens + start + first_position) * GROUP
    dq = tl.zeros([ROWS, PADDED], tl.float32)
    if segment == segments:
        tl.store(dquery + offsets, dq.to(dquery.dtype.element_ty), mask)
        tl.store(delta + row_base + row, tl.zeros([ROWS], tl.float32), is_row)
        return
    grad += (start + first_position) * grad_stride + group * GROUP * WIDTH
    do = load_tile(grad + _row_offsets(row, column, grad_stride, GROUP, WIDTH), is_row, column, WIDTH, PADDED)
    output += (start + first_position) * output_stride + group * GROUP * WIDTH
    accumulator = load_tile(
        output + _row_offsets(row, column, output_stride, GROUP, WIDTH), is_row, column, WIDTH, PADDED
    )
    query += (start + first_position) * query_stride + group * GROUP * WIDTH
    q = load_tile(query + _row_offsets(row, column, query_stride, GROUP, WIDTH), is_row, column, WIDTH, PADDED)
    log_sum = tl.load(log_sums + row_base + row, is_row, other=0.0)
    row_delta = tl.sum(do.to(tl.float32) * accumulator.to(tl.float32), 1)
    tl.store(delta + row_base + row, row_delta, is_row)
    key += group * WIDTH
    value += group * WIDTH
    before, prefix_start = 0, start
    if PREFIXED:
        prefix_start = tl.load(prefix_starts + segment).to(tl.int64)
        before = tl.load(prefix_ends + segment) - tl.load(prefix_starts + segment)
    else:
        key += start * key_stride
        value += start * value_stride
    length, first_position = before + length, before + first_position
    key_offsets = (key_index * key_stride)[:, None] + column[None, :]
    value_offsets = (key_index * value_stride)[:, None] + column[None, :]
    scale = softmax_scale * LOG2_E
    position = first_position + row // GROUP
    last_key, unmasked_keys = length, length
    if CAUSAL:
        last_key, unmasked_keys = tl.minimum(first_position + POSITIONS, length), first_position + 1
    for offset in range(0, last_key, KEYS):
        is_key = key_index < length - offset
        token = offset + key_index
        if PREFIXED:
            token = _key_tokens(token, start, prefix_start, before)
            k = load_tile(key + token[:, None] * key_stride + column[None, :], is_key, column, WIDTH, PADDED)
            v = load_tile(value + token[:, None] * value_stride + column[None, :], is_key, column, WIDTH, PADDED)
        else:
            k = load_tile(key + offset * key_stride + key_offsets, is_key, column, WIDTH, PADDED)
            v = load_tile(value + offset * value_stride + value_offsets, is_key, column, WIDTH, PADDED)
        weights = tl.exp2(_scores(q, k) * scale - log_sum[:, None])
        weights = _mask_scores(weights, 0.0, offset, key_index, position, length, unmasked_keys, KEYS, CAUSAL, BRANCH)
        grad_scores = weights * (_scores(do, v) - row_delta[:, None])
        dq = tl.dot(grad_scores.to(k.dtype), k, dq, input_precision="ieee")
    tl.store(dquery + offsets, (dq * softmax_scale).to(dquery.dtype.element_ty), mask)


@triton.jit(do_not_specialize=["segments", "tokens"])
def grad_keys_values_kernel(
    grad, query, key, value, log_sums, delta, dkey, dvalue, cu_seqlens, group_ends, segments, tokens,
    grad_stride: tl.constexpr, query_stride: tl.constexpr, key_stride: tl.constexpr, value_stride: tl.constexpr,
    softmax_scale,
    HEADS: tl.constexpr, GROUP: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr, BOUNDS: tl.constexpr,
    CAUSAL: tl.constexpr, BRANCH: tl.constexpr, PREFIXED: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):  # fmt: skip
    POSITIONS: tl.constexpr = ROWS // GROUP
    GROUPS: tl.constexpr = HEADS // GROUP
    segment, start, length, first_position = locate_tile(cu_seqlens, segments, tokens, tl.program_id(0), KEYS, BOUNDS)
    if first_position >= length:
        return
    group = tl.program_id(1)
    row, key_index, column = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, PADDED)
    is_key = key_index < length - first_position
    mask = is_key[:, None] & (column < WIDTH)[None, :]
    offsets = (key_index * GROUPS * WIDTH)[:, None] + column[None, :]
    dkey += (start + first_position) * GROUPS * WIDTH + group * WIDTH
    dvalue += (start + first_position) * GROUPS * WIDTH + group * WIDTH
    dk, dv = tl.zeros([KEYS, PADDED], tl.float32), tl.zeros([KEYS, PADDED], tl.float32)
    if segment == segments:
        tl.store(dkey + offsets, dk.to(dkey.dtype.element_ty), mask)
        tl.store(dvalue + offsets, dv.to(dvalue.dtype.element_ty), mask)
        return
    key += (start + first_position) * key_stride + group * WIDTH
    value += (start + first_position) * value_stride + group * WIDTH
    k = load_tile(key + (key_index * key_stride)[:, None] + column[None, :], is_key, column, WIDTH, PADDED)
    v = load_tile(value + (key_index * value_stride)[:, None] + column[None, :], is_key, column, WIDTH, PADDED)
    first_query = 0
    if CAUSAL:
        first_query = first_position
    row_position = row // GROUP
    query += start * query_stride + group * GROUP * WIDTH
    grad += start * grad_stride + group * GROUP * WIDTH
    query_offsets = _row_offsets(row, column, query_stride, GROUP, WIDTH)
    grad_offsets = _row_offsets(row, column, grad_stride, GROUP, WIDTH)
    row_base = (group.to(tl.int64) * tokens + start) * GROUP
    log_sums += row_base
    delta += row_base
    scale = softmax_scale * LOG2_E
    last_query = length
    if PREFIXED:
        last_query = (tl.load(group_ends + segment) - start).to(tl.int32)
    for offset in range(first_query, last_query, POSITIONS):
        is_row = _is_valid_row(row, last_query - offset, ROWS, GROUP)
        q = load_tile(query + offset * query_stride + query_offsets, is_row, column, WIDTH, PADDED)
        log_sum = tl.load(log_sums + offset * GROUP + row, is_row, other=0.0)
        do = load_tile(grad + offset * grad_stride + grad_offsets, is_row, column, WIDTH, PADDED)
        row_delta = tl.load(delta + offset * GROUP + row, is_row, other=0.0)
        weights = tl.exp2(_scores(k, q) * scale - log_sum[None, :])
        if CAUSAL and (not BRANCH or offset < first_position + KEYS - 1):
            weights = tl.where((first_position + key_index)[:, None] <= (offset + row_position)[None, :], weights, 0.0)
        dv = tl.dot(weights.to(do.dtype), do, dv, input_precision="ieee")
        grad_scores = (weights * (_scores(v, do) - row_delta[None, :])).to(q.dtype)
        dk = tl.dot(grad_scores, q, dk, input_precision="ieee")
    tl.store(dkey + offsets, (dk * softmax_scale).to(dkey.dtype.element_ty), mask)
    tl.store(dvalue + offsets, dv.to(dvalue.dtype.element_ty), mask)
