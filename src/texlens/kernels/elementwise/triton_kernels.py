"""Device code of the elementwise operations, and the functions that other kernels share."""

import os

import triton
import triton.language as tl

INTERPRETED = tl.constexpr(os.environ.get("TRITON_INTERPRET") == "1")


@triton.jit
def rms_norm_kernel(x, weight, result, width, stride, eps, BLOCK: tl.constexpr):
    token = tl.program_id(0).to(tl.int64)
    row = token * width
    column = tl.arange(0, BLOCK)
    mask = column < width
    x_row = tl.load(x + row + column, mask, other=0.0)
    x_f32 = x_row.to(tl.float32)
    normalized = x_f32 * tl.rsqrt(tl.sum(x_f32 * x_f32) / width + eps)
    scale = tl.load(weight + column, mask, other=0.0)
    tl.store(result + token * stride + column, (normalized.to(x_row.dtype) * scale).to(x_row.dtype), mask)


@triton.jit
def add_rms_norm_kernel(x, y, weight, normed, width, stride, eps, BLOCK: tl.constexpr):
    token = tl.program_id(0).to(tl.int64)
    row = token * width
    column = tl.arange(0, BLOCK)
    mask = column < width
    x_in = tl.load(x + row + column, mask, other=0.0)
    x_row = (x_in.to(tl.float32) + tl.load(y + row + column, mask, other=0.0).to(tl.float32)).to(x_in.dtype)
    x_f32 = x_row.to(tl.float32)
    normalized = x_f32 * tl.rsqrt(tl.sum(x_f32 * x_f32) / width + eps)
    scale = tl.load(weight + column, mask, other=0.0)
    tl.store(y + row + column, x_row, mask)
    tl.store(normed + token * stride + column, (normalized.to(x_row.dtype) * scale).to(x_row.dtype), mask)


@triton.jit
def rms_norm_grad_row(grad, x, weight, width, eps):
    """The gradient of a row x from that of its norm, x / rms(x), and 1 / rms(x)."""
    x_f32 = x.to(tl.float32)
    rms = tl.rsqrt(tl.sum(x_f32 * x_f32) / width + eps)
    normalized = x_f32 * rms
    grad_f32 = grad.to(tl.float32) * weight.to(tl.float32)
    return (grad_f32 - normalized * (tl.sum(grad_f32 * normalized) / width)) * rms, normalized, rms


@triton.jit
def rms_norm_backward_kernel(
    grad, x, weight, residual, dx, normed, width, residual_stride, stride, eps, ADD: tl.constexpr, BLOCK: tl.constexpr
):
    token = tl.program_id(0).to(tl.int64)
    row = token * width
    column = tl.arange(0, BLOCK)
    mask = column < width
    x_row = tl.load(x + row + column, mask, other=0.0)
    scale = tl.load(weight + column, mask, other=0.0)
    result, normalized, _ = rms_norm_grad_row(tl.load(grad + row + column, mask, other=0.0), x_row, scale, width, eps)
    if ADD:
        result += tl.load(residual + token * residual_stride + column, mask, other=0.0).to(tl.float32)
    tl.store(dx + token * stride + column, result.to(x_row.dtype), mask)
    tl.store(normed + row + column, (normalized.to(x_row.dtype) * scale).to(x_row.dtype), mask)


@triton.jit
def sigmoid(x):
    """1 / (1 + 2^(-x log2 e)) in four instructions; the library version takes eleven, to be exact for denormals."""
    if INTERPRETED:
        y = tl.sigmoid(x)
    else:
        y = tl.inline_asm_elementwise(
            "{ .reg .f32 t; mul.ftz.f32 t, $1, 0fBFB8AA3B; ex2.approx.ftz.f32 t, t; add.ftz.f32 t, t, 0f3F800000; "
            "rcp.approx.ftz.f32 $0, t; }",
            "=f,f", [x], tl.float32, is_pure=True, pack=1,
        )  # fmt: skip
    return y


@triton.jit
def swiglu_tile(gate_in, up):
    """silu(gate), rounded to the dtype of the inputs, times up."""
    gate = gate_in.to(tl.float32)
    silu = (gate * sigmoid(gate)).to(gate_in.dtype)
    return (silu.to(tl.float32) * up.to(tl.float32)).to(gate_in.dtype)


@triton.jit
def swiglu_grads(grad, gate_in, up):
    """Gradients of gate and up, and `swiglu_tile`."""
    gate, grad_f32, up_f32 = gate_in.to(tl.float32), grad.to(tl.float32), up.to(tl.float32)
    sigmoid_gate = sigmoid(gate)
    silu = gate * sigmoid_gate
    dgate = grad_f32 * up_f32 * sigmoid_gate * (1 + gate * (1 - sigmoid_gate))
    act = (silu.to(gate_in.dtype).to(tl.float32) * up_f32).to(gate_in.dtype)
    return dgate.to(gate_in.dtype), (grad_f32 * silu).to(gate_in.dtype), act


@triton.jit
def swiglu_kernel(gate_up, result, width, stride, BLOCK: tl.constexpr):
    row, column = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = column < width
    gate_in = tl.load(gate_up + row * 2 * width + column, mask, other=0.0)
    up = tl.load(gate_up + row * 2 * width + width + column, mask, other=0.0)
    tl.store(result + row * stride + column, swiglu_tile(gate_in, up), mask)


@triton.jit
def swiglu_backward_kernel(grad, gate_up, dgate_up, result, width, grad_stride, stride, BLOCK: tl.constexpr):
    row, column = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = column < width
    gate_in = tl.load(gate_up + row * 2 * width + column, mask, other=0.0)
    up = tl.load(gate_up + row * 2 * width + width + column, mask, other=0.0)
    grad_row = tl.load(grad + row * grad_stride + column, mask, other=0.0)
    dgate, dup, act = swiglu_grads(grad_row, gate_in, up)
    tl.store(dgate_up + row * stride + column, dgate, mask)
    tl.store(dgate_up + row * stride + width + column, dup, mask)
    tl.store(result + row * width + column, act, mask)


@triton.jit
def split_heads_norm_rope_kernel(
    y, query_norm, key_norm, cos, sin, query, key, stride, eps,
    H: tl.constexpr, G: tl.constexpr, HALF: tl.constexpr, NORM: tl.constexpr, HEADS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    token = tl.program_id(0).to(tl.int64)
    head, column = tl.arange(0, HEADS)[:, None], tl.arange(0, BLOCK)[None]
    mask = (head < H + G) & (column < HALF)
    pointers = y + token * stride + head * 2 * HALF + column
    low, high = tl.load(pointers, mask, other=0.0), tl.load(pointers + HALF, mask, other=0.0)
    dtype = low.dtype
    low_f32, high_f32 = low.to(tl.float32), high.to(tl.float32)
    if NORM:
        rms = tl.rsqrt((tl.sum(low_f32 * low_f32, 1) + tl.sum(high_f32 * high_f32, 1))[:, None] / (2 * HALF) + eps)
        is_query, in_half = head < H, column < HALF
        for_query, for_key = is_query & in_half, (head >= H) & in_half
        scale = tl.load(query_norm + column + head * 0, for_query, other=0.0)
        scale += tl.load(key_norm + column + head * 0, for_key, other=0.0)
        scale_high = tl.load(query_norm + HALF + column + head * 0, for_query, other=0.0)
        scale_high += tl.load(key_norm + HALF + column + head * 0, for_key, other=0.0)
        low_f32 = ((low_f32 * rms).to(dtype) * scale).to(dtype).to(tl.float32)
        high_f32 = ((high_f32 * rms).to(dtype) * scale_high).to(dtype).to(tl.float32)
    angle = token * 2 * HALF + column
    cosine, sine = tl.load(cos + angle, column < HALF, other=0.0), tl.load(sin + angle, column < HALF, other=0.0)
    rotated_low, rotated_high = low_f32 * cosine - high_f32 * sine, high_f32 * cosine + low_f32 * sine
    to_query = query + (token * H + head) * 2 * HALF + column
    tl.store(to_query, rotated_low.to(dtype), mask & (head < H))
    tl.store(to_query + HALF, rotated_high.to(dtype), mask & (head < H))
    to_key = key + (token * G + head - H) * 2 * HALF + column
    tl.store(to_key, rotated_low.to(dtype), mask & (head >= H))
    tl.store(to_key + HALF, rotated_high.to(dtype), mask & (head >= H))


@triton.jit
def split_heads_norm_rope_backward_kernel(
    dquery, dkey, dvalue, y, query_norm, key_norm, cos, sin, dy, stride, eps,
    H: tl.constexpr, G: tl.constexpr, HALF: tl.constexpr, NORM: tl.constexpr, HEADS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    token = tl.program_id(0).to(tl.int64)
    head, column = tl.arange(0, HEADS)[:, None], tl.arange(0, BLOCK)[None]
    in_half = column < HALF
    is_query, is_key = (head < H) & in_half, (head >= H) & (head < H + G) & in_half
    is_value = (head >= H + G) & (head < H + 2 * G) & in_half
    is_rotated = is_query | is_key
    at_query = dquery + (token * H + head) * 2 * HALF + column
    at_key = dkey + (token * G + head - H) * 2 * HALF + column
    low = tl.load(at_query, is_query, other=0.0)
    dtype = low.dtype
    low_f32 = low.to(tl.float32) + tl.load(at_key, is_key, other=0.0).to(tl.float32)
    high_f32 = tl.load(at_query + HALF, is_query, other=0.0).to(tl.float32)
    high_f32 += tl.load(at_key + HALF, is_key, other=0.0).to(tl.float32)
    angle = token * 2 * HALF + column
    cosine, sine = tl.load(cos + angle, in_half, other=0.0), tl.load(sin + angle, in_half, other=0.0)
    grad_low, grad_high = low_f32 * cosine + high_f32 * sine, high_f32 * cosine - low_f32 * sine
    head_offset = (token * (H + 2 * G) + head) * 2 * HALF + column
    if NORM:
        grad_low, grad_high = grad_low.to(dtype).to(tl.float32), grad_high.to(dtype).to(tl.float32)
        raw_low = tl.load(y + head_offset, is_rotated, other=0.0).to(tl.float32)
        raw_high = tl.load(y + head_offset + HALF, is_rotated, other=0.0).to(tl.float32)
        rms = tl.rsqrt((tl.sum(raw_low * raw_low, 1) + tl.sum(raw_high * raw_high, 1))[:, None] / (2 * HALF) + eps)
        raw_low, raw_high = raw_low * rms, raw_high * rms
        grad_low *= tl.load(query_norm + column + head * 0, is_query, other=0.0).to(tl.float32) + tl.load(
            key_norm + column + head * 0, is_key, other=0.0
        ).to(tl.float32)
        grad_high *= tl.load(query_norm + HALF + column + head * 0, is_query, other=0.0).to(tl.float32) + tl.load(
            key_norm + HALF + column + head * 0, is_key, other=0.0
        ).to(tl.float32)
        mean_product = (tl.sum(grad_low * raw_low, 1) + tl.sum(grad_high * raw_high, 1))[:, None] / (2 * HALF)
        grad_low, grad_high = (grad_low - raw_low * mean_product) * rms, (grad_high - raw_high * mean_product) * rms
    out = dy + token * stride + head * 2 * HALF + column
    tl.store(out, grad_low.to(dtype), is_rotated)
    tl.store(out + HALF, grad_high.to(dtype), is_rotated)
    at_value = dvalue + (token * G + head - H - G) * 2 * HALF + column
    tl.store(out, tl.load(at_value, is_value, other=0.0), is_value)
    tl.store(out + HALF, tl.load(at_value + HALF, is_value, other=0.0), is_value)
