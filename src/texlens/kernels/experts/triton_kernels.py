"""Device code between the grouped products of a mixture of experts: one program a row.

# D = width, F = width of an expert
"""

import triton
import triton.language as tl


@triton.jit
def gather_kernel(x, tokens, result, x_stride, result_stride, width, BLOCK: tl.constexpr):
    pair = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    mask = column < width
    token = tl.load(tokens + pair).to(tl.int64)
    tl.store(result + pair * result_stride + column, tl.load(x + token * x_stride + column, mask), mask)


@triton.jit
def combine_kernel(
    y, places, weights, addend, result, y_stride, addend_stride, width,
    COUNT: tl.constexpr, WEIGHTED: tl.constexpr, ADD: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    token = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    mask = column < width
    total = tl.zeros((BLOCK,), tl.float32)
    if ADD:
        total += tl.load(addend + token * addend_stride + column, mask, other=0.0).to(tl.float32)
    for number in range(COUNT):
        position = tl.load(places + token * COUNT + number).to(tl.int64)
        part = tl.load(y + position * y_stride + column, mask, other=0.0).to(tl.float32)
        if WEIGHTED:
            part *= tl.load(weights + token * COUNT + number).to(tl.float32)
        total += part
    tl.store(result + token * width + column, total.to(result.dtype.element_ty), mask)


@triton.jit
def swiglu_kernel(gate_up, result, width, result_stride, BLOCK: tl.constexpr):
    pair = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    mask = column < width
    gate = tl.load(gate_up + pair * 2 * width + column, mask, other=0.0).to(tl.float32)
    up = tl.load(gate_up + pair * 2 * width + width + column, mask, other=0.0).to(tl.float32)
    tl.store(result + pair * result_stride + column, (gate * tl.sigmoid(gate) * up).to(result.dtype.element_ty), mask)


@triton.jit
def swiglu_backward_kernel(
    grad, gate_up, weights, dgate_up, act, grad_weights, grad_stride, dgate_up_stride, width, BLOCK: tl.constexpr
):
    pair = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    mask = column < width
    gate = tl.load(gate_up + pair * 2 * width + column, mask, other=0.0).to(tl.float32)
    up = tl.load(gate_up + pair * 2 * width + width + column, mask, other=0.0).to(tl.float32)
    values = tl.load(grad + pair * grad_stride + column, mask, other=0.0).to(tl.float32)
    weight = tl.load(weights + pair).to(tl.float32)
    sigmoid = tl.sigmoid(gate)
    product = gate * sigmoid * up
    tl.store(grad_weights + pair, tl.sum(values * product))
    tl.store(act + pair * width + column, (product * weight).to(act.dtype.element_ty), mask)
    values *= weight
    dgate = values * up * sigmoid * (1 + gate * (1 - sigmoid))
    target = dgate_up + pair * dgate_up_stride + column
    tl.store(target, dgate.to(dgate_up.dtype.element_ty), mask)
    tl.store(target + width, (values * gate * sigmoid).to(dgate_up.dtype.element_ty), mask)
