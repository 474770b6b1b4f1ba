"""Device code around the gated delta rule: the causal convolution, the rates, and the gated norm of the output.

Inputs are columns of a delta net's first product, whose rows are `stride` apart, and gradients go to the same columns
of its gradient. Everything is float32 in registers.
"""

import triton
import triton.language as tl


@triton.jit
def _conv(x, kernel, offset, token, column, mask, stride, TAPS: tl.constexpr):
    """The sum over the tokens up to TAPS - 1 before each one, of its segment alone, [tokens, columns]."""
    total = tl.zeros(mask.shape, tl.float32)
    for back in tl.static_range(TAPS):
        weight = tl.load(kernel + column * TAPS + (TAPS - 1 - back)).to(tl.float32)
        at = (token - back)[:, None] * stride + column[None, :]
        value = tl.load(x + at, mask & (offset >= back)[:, None], other=0.0).to(tl.float32)
        total += value * weight[None, :]
    return total


@triton.jit(do_not_specialize=["tokens"])
def conv_kernel(x, kernel, offsets, result, tokens, stride, result_stride, TAPS: tl.constexpr, ROWS: tl.constexpr,
                COLUMNS: tl.constexpr):  # fmt: skip
    """silu of the convolution; the number of columns is a multiple of COLUMNS."""
    token = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    mask = (token < tokens)[:, None] & (column >= 0)[None, :]
    offset = tl.load(offsets + token, token < tokens, other=0)
    total = _conv(x, kernel, offset, token, column, mask, stride, TAPS)
    value = total * tl.sigmoid(total)
    tl.store(result + token[:, None] * result_stride + column[None, :], value.to(result.dtype.element_ty), mask)


@triton.jit(do_not_specialize=["tokens"])
def conv_backward_kernel(
    grad, x, kernel, offsets, result, tokens, grad_stride, stride, result_stride, TAPS: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """The gradient of x: each token's is from its own result and from those of the next tokens of its segment."""
    token = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    of_x = tl.zeros([ROWS, COLUMNS], tl.float32)
    for ahead in tl.static_range(TAPS):
        later = token + ahead
        offset = tl.load(offsets + later, later < tokens, other=-1)
        mask = (offset >= ahead)[:, None] & (column >= 0)[None, :]
        total = _conv(x, kernel, offset, later, column, mask, stride, TAPS)
        sigmoid = tl.sigmoid(total)
        of_result = tl.load(grad + later[:, None] * grad_stride + column[None, :], mask, other=0.0).to(tl.float32)
        weight = tl.load(kernel + column * TAPS + (TAPS - 1 - ahead)).to(tl.float32)
        of_x += of_result * sigmoid * (1 + total * (1 - sigmoid)) * weight[None, :]
    mask = (token < tokens)[:, None] & (column >= 0)[None, :]
    tl.store(result + token[:, None] * result_stride + column[None, :], of_x.to(result.dtype.element_ty), mask)


@triton.jit
def _softplus(x):
    return tl.where(x > 20, x, tl.log(1 + tl.exp(tl.minimum(x, 20.0))))


@triton.jit(do_not_specialize=["rows"])
def rates_kernel(beta_in, decay_in, a_log, dt_bias, log_decay, beta, rows, stride, HEADS: tl.constexpr,
                 ROWS: tl.constexpr):  # fmt: skip
    """-exp(a_log) softplus(decay + dt_bias) and sigmoid(beta), [T, H]."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    mask, head = row < rows, row % HEADS
    at = (row // HEADS).to(tl.int64) * stride + head
    rate = tl.exp(tl.load(a_log + head).to(tl.float32))
    shifted = tl.load(decay_in + at, mask, other=0.0).to(tl.float32) + tl.load(dt_bias + head).to(tl.float32)
    tl.store(log_decay + row, -rate * _softplus(shifted), mask)
    tl.store(beta + row, tl.sigmoid(tl.load(beta_in + at, mask, other=0.0).to(tl.float32)), mask)


@triton.jit(do_not_specialize=["rows"])
def rates_backward_kernel(
    grad_decay, grad_beta, beta, decay_in, a_log, dt_bias, of_beta, of_decay, rows, stride, result_stride,
    HEADS: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    mask, head = row < rows, row % HEADS
    token = (row // HEADS).to(tl.int64)
    rate = tl.exp(tl.load(a_log + head).to(tl.float32))
    shifted = tl.load(decay_in + token * stride + head, mask, other=0.0).to(tl.float32)
    shifted += tl.load(dt_bias + head).to(tl.float32)
    changed = -rate * tl.sigmoid(shifted) * tl.load(grad_decay + row, mask, other=0.0)
    to = token * result_stride + head
    tl.store(of_decay + to, changed.to(of_decay.dtype.element_ty), mask)
    value = tl.load(beta + row, mask, other=0.0)
    changed = value * (1 - value) * tl.load(grad_beta + row, mask, other=0.0)
    tl.store(of_beta + to, changed.to(of_beta.dtype.element_ty), mask)


@triton.jit
def _normed(x, eps, WIDTH: tl.constexpr):
    """x / rms(x) of rows, and 1 / rms(x)."""
    scale = tl.rsqrt(tl.sum(x * x, 1) / WIDTH + eps)
    return x * scale[:, None], scale


@triton.jit(do_not_specialize=["rows"])
def gated_norm_kernel(
    x, gate, weight, result, rows, gate_stride, result_stride, eps, HEADS: tl.constexpr, WIDTH: tl.constexpr,
    PADDED: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """x / rms(x) * weight * silu(gate) of heads [T, H, WIDTH]; a row is a token and a head."""
    row, column = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS), tl.arange(0, PADDED)
    in_width = column < WIDTH
    mask = (row < rows)[:, None] & in_width[None, :]
    in_head = (row % HEADS * WIDTH)[:, None] + column[None, :]
    token = (row // HEADS)[:, None]
    dtype: tl.constexpr = x.dtype.element_ty
    value = tl.load(x + row[:, None] * WIDTH + column[None, :], mask, other=0.0).to(tl.float32)
    gates = tl.load(gate + token * gate_stride + in_head, mask, other=0.0).to(tl.float32)
    scale = tl.load(weight + column, in_width, other=0.0).to(tl.float32)
    normed, _ = _normed(value, eps, WIDTH)
    scaled = normed.to(dtype).to(tl.float32) * scale[None, :]
    outcome = scaled * gates * tl.sigmoid(gates)
    tl.store(result + token * result_stride + in_head, outcome.to(result.dtype.element_ty), mask)


@triton.jit(do_not_specialize=["rows"])
def gated_norm_backward_kernel(
    grad, x, gate, weight, of_x, of_gate, rows, grad_stride, gate_stride, of_gate_stride, eps,
    HEADS: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    row, column = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS), tl.arange(0, PADDED)
    in_width = column < WIDTH
    mask = (row < rows)[:, None] & in_width[None, :]
    in_head = (row % HEADS * WIDTH)[:, None] + column[None, :]
    token = (row // HEADS)[:, None]
    value = tl.load(x + row[:, None] * WIDTH + column[None, :], mask, other=0.0).to(tl.float32)
    gates = tl.load(gate + token * gate_stride + in_head, mask, other=0.0).to(tl.float32)
    grads = tl.load(grad + token * grad_stride + in_head, mask, other=0.0).to(tl.float32)
    scale = tl.load(weight + column, in_width, other=0.0).to(tl.float32)
    normed, inverse_rms = _normed(value, eps, WIDTH)
    sigmoid = tl.sigmoid(gates)
    of_gates = grads * normed * scale[None, :] * sigmoid * (1 + gates * (1 - sigmoid))
    tl.store(of_gate + token * of_gate_stride + in_head, of_gates.to(of_gate.dtype.element_ty), mask)
    of_normed = grads * gates * sigmoid * scale[None, :]
    of_value = (of_normed - normed * (tl.sum(of_normed * normed, 1) / WIDTH)[:, None]) * inverse_rms[:, None]
    tl.store(of_x + row[:, None] * WIDTH + column[None, :], of_value.to(of_x.dtype.element_ty), mask)


@triton.jit
def conv_step_kernel(
    x, kernel, windows, slots, result, stride, CHANNELS: tl.constexpr, TAPS: tl.constexpr, COLUMNS: tl.constexpr
):
    """silu of the convolution for one more token of each row, whose slot's window then ends with it."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    window = windows + (tl.load(slots + row) * CHANNELS + column) * (TAPS - 1)
    newest = tl.load(x + row * stride + column)
    total = newest.to(tl.float32) * tl.load(kernel + column * TAPS + TAPS - 1).to(tl.float32)
    for tap in tl.static_range(TAPS - 1):
        value = tl.load(window + tap)
        total += value.to(tl.float32) * tl.load(kernel + column * TAPS + tap).to(tl.float32)
        if tap > 0:
            tl.store(window + (tap - 1), value)
    tl.store(window + (TAPS - 2), newest.to(windows.dtype.element_ty))
    tl.store(result + row * CHANNELS + column, (total * tl.sigmoid(total)).to(result.dtype.element_ty))


@triton.jit
def delta_step_kernel(
    mixed, beta_in, decay_in, a_log, dt_bias, states, slots, output, stride, scale, eps,
    HEADS: tl.constexpr, REPEATS: tl.constexpr, X: tl.constexpr, Y: tl.constexpr, PX: tl.constexpr,
    COLUMNS: tl.constexpr,
):  # fmt: skip
    """One more token of a row and value head: columns of its slot's state [X, Y] are read and written once."""
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    x, y = tl.arange(0, PX), tl.program_id(2) * COLUMNS + tl.arange(0, COLUMNS)
    in_x, in_y = x < X, y < Y
    keys: tl.constexpr = HEADS // REPEATS * X
    mixed += row * (2 * keys + HEADS * Y)
    states += (tl.load(slots + row) * HEADS + head) * X * Y
    at, mask = x[:, None] * Y + y[None, :], in_x[:, None] & in_y[None, :]
    state = tl.load(states + at, mask, other=0.0)
    query = tl.load(mixed + head // REPEATS * X + x, in_x, other=0.0).to(tl.float32)
    key = tl.load(mixed + keys + head // REPEATS * X + x, in_x, other=0.0).to(tl.float32)
    value = tl.load(mixed + 2 * keys + head * Y + y, in_y, other=0.0).to(tl.float32)
    query *= scale * tl.rsqrt(tl.sum(query * query, 0) + eps)
    key *= tl.rsqrt(tl.sum(key * key, 0) + eps)
    shifted = tl.load(decay_in + row * stride + head).to(tl.float32) + tl.load(dt_bias + head).to(tl.float32)
    decay = tl.exp(-tl.exp(tl.load(a_log + head).to(tl.float32)) * _softplus(shifted))
    beta = tl.sigmoid(tl.load(beta_in + row * stride + head).to(tl.float32))
    state *= decay
    change = (value - tl.sum(key[:, None] * state, 0)) * beta
    state += key[:, None] * change[None, :]
    tl.store(states + at, state, mask)
    result = tl.sum(query[:, None] * state, 0)
    tl.store(output + (row * HEADS + head) * Y + y, result.to(output.dtype.element_ty), in_y)
