"""Device code around gated attention: heads split, normed and turned, and the output gated; forward and backward.

A row is a token and a head. The first `turning` columns of a head turn in pairs, half of them apart.
"""

import triton
import triton.language as tl


@triton.jit
def _partner(column, TURNING: tl.constexpr):
    """The other column of each pair; itself where nothing turns."""
    half: tl.constexpr = TURNING // 2
    return tl.where(column < half, column + half, tl.where(column < TURNING, column - half, column))


@triton.jit
def _norm_weights(query_norm, key_norm, is_query, column, WIDTH: tl.constexpr):
    """1 + weight of each row's norm [rows, columns]."""
    of_query = tl.load(query_norm + column, column < WIDTH, other=0.0).to(tl.float32)
    of_key = tl.load(key_norm + column, column < WIDTH, other=0.0).to(tl.float32)
    return 1 + tl.where(is_query[:, None], of_query[None, :], of_key[None, :])


@triton.jit(do_not_specialize=["rows"])
def split_kernel(
    y, query_norm, key_norm, cos, sin, query, key, rows, stride, eps,
    H: tl.constexpr, G: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr, TURNING: tl.constexpr,
    ROWS: tl.constexpr,
):  # fmt: skip
    row, column = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS), tl.arange(0, PADDED)
    token, head = row // (H + G), row % (H + G)
    is_query, is_row, in_width = head < H, row < rows, column < WIDTH
    mask, turns = is_row[:, None] & in_width[None, :], is_row[:, None] & (column < TURNING)[None, :]
    at = y + (token * stride + tl.where(is_query, 2 * head, H + head) * WIDTH)[:, None]
    x = tl.load(at + column[None, :], mask, other=0.0).to(tl.float32)
    dtype: tl.constexpr = y.dtype.element_ty
    other_column = _partner(column, TURNING)
    other = tl.load(at + other_column[None, :], turns, other=0.0).to(tl.float32)
    inverse_rms = tl.rsqrt(tl.sum(x * x, 1) / WIDTH + eps)[:, None]
    normed = (x * inverse_rms * _norm_weights(query_norm, key_norm, is_query, column, WIDTH)).to(dtype).to(tl.float32)
    other = (other * inverse_rms * _norm_weights(query_norm, key_norm, is_query, other_column, WIDTH)).to(dtype)
    angle = (token * TURNING)[:, None] + column[None, :]
    cosine, sine = tl.load(cos + angle, turns, other=1.0), tl.load(sin + angle, turns, other=0.0)
    sign = tl.where(column < TURNING // 2, -1.0, 1.0)[None, :]
    turned = (normed * cosine + sign * other.to(tl.float32) * sine).to(dtype)
    to_query = query + ((token * H + head) * WIDTH)[:, None] + column[None, :]
    tl.store(to_query, turned, mask & is_query[:, None])
    to_key = key + ((token * G + head - H) * WIDTH)[:, None] + column[None, :]
    tl.store(to_key, turned, mask & (head >= H)[:, None])


@triton.jit(do_not_specialize=["rows"])
def split_backward_kernel(
    dquery, dkey, y, query_norm, key_norm, cos, sin, dy, rows, stride, result_stride, eps,
    H: tl.constexpr, G: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr, TURNING: tl.constexpr,
    ROWS: tl.constexpr,
):  # fmt: skip
    row, column = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS), tl.arange(0, PADDED)
    token, head = row // (H + G), row % (H + G)
    is_query, is_row, in_width = head < H, row < rows, column < WIDTH
    mask, turns = is_row[:, None] & in_width[None, :], is_row[:, None] & (column < TURNING)[None, :]
    of_query, of_key = mask & is_query[:, None], mask & (head >= H)[:, None]
    in_product = (tl.where(is_query, 2 * head, H + head) * WIDTH)[:, None] + column[None, :]
    x = tl.load(y + (token * stride)[:, None] + in_product, mask, other=0.0).to(tl.float32)
    dtype: tl.constexpr = y.dtype.element_ty
    from_query, from_key = (
        dquery + ((token * H + head) * WIDTH)[:, None],
        dkey + ((token * G + head - H) * WIDTH)[:, None],
    )
    grad = tl.load(from_query + column[None, :], of_query, other=0.0).to(tl.float32)
    grad += tl.load(from_key + column[None, :], of_key, other=0.0).to(tl.float32)
    other_column = _partner(column, TURNING)
    other = tl.load(from_query + other_column[None, :], of_query & turns, other=0.0).to(tl.float32)
    other += tl.load(from_key + other_column[None, :], of_key & turns, other=0.0).to(tl.float32)
    angles = (token * TURNING)[:, None]
    cosine = tl.load(cos + angles + column[None, :], turns, other=1.0)
    sine = tl.load(sin + angles + other_column[None, :], turns, other=0.0)
    sign = tl.where(column < TURNING // 2, 1.0, -1.0)[None, :]
    grad = (grad * cosine + sign * other * sine) * _norm_weights(query_norm, key_norm, is_query, column, WIDTH)
    inverse_rms = tl.rsqrt(tl.sum(x * x, 1) / WIDTH + eps)[:, None]
    normed = x * inverse_rms
    result = (grad - normed * (tl.sum(grad * normed, 1) / WIDTH)[:, None]) * inverse_rms
    tl.store(dy + (token * result_stride)[:, None] + in_product, result.to(dtype), mask)


@triton.jit(do_not_specialize=["rows"])
def gate_kernel(
    output, y, result, rows, output_stride, stride, result_stride,
    H: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """output * sigmoid(gate)."""
    row, column = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS), tl.arange(0, PADDED)
    token, head = row // H, row % H
    mask = (row < rows)[:, None] & (column < WIDTH)[None, :]
    value = tl.load(output + (token * output_stride + head * WIDTH)[:, None] + column[None, :], mask, other=0.0)
    at_gate = (token * stride + (2 * head + 1) * WIDTH)[:, None] + column[None, :]
    gates = tl.load(y + at_gate, mask, other=0.0).to(tl.float32)
    outcome = (value.to(tl.float32) * tl.sigmoid(gates)).to(value.dtype)
    tl.store(result + (token * result_stride + head * WIDTH)[:, None] + column[None, :], outcome, mask)


@triton.jit(do_not_specialize=["rows"])
def gate_backward_kernel(
    grad, output, y, of_output, dy, rows, grad_stride, output_stride, stride, result_stride,
    H: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    row, column = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS), tl.arange(0, PADDED)
    token, head = row // H, row % H
    mask = (row < rows)[:, None] & (column < WIDTH)[None, :]
    in_head = (head * WIDTH)[:, None] + column[None, :]
    value = tl.load(output + (token * output_stride)[:, None] + in_head, mask, other=0.0).to(tl.float32)
    grads = tl.load(grad + (token * grad_stride)[:, None] + in_head, mask, other=0.0).to(tl.float32)
    at_gate = ((2 * head + 1) * WIDTH)[:, None] + column[None, :]
    sigmoid = tl.sigmoid(tl.load(y + (token * stride)[:, None] + at_gate, mask, other=0.0).to(tl.float32))
    to = of_output + (row * WIDTH)[:, None] + column[None, :]
    tl.store(to, (grads * sigmoid).to(of_output.dtype.element_ty), mask)
    of_gate = grads * value * sigmoid * (1 - sigmoid)
    tl.store(dy + (token * result_stride)[:, None] + at_gate, of_gate.to(dy.dtype.element_ty), mask)
