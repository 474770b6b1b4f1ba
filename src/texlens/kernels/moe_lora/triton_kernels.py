"""Device code of the gates of MoE-LoRA."""

import triton
import triton.language as tl


@triton.jit
def _gates(chance, expert, EXPERTS: tl.constexpr, TOP_K: tl.constexpr):
    """Gates [ROWS, experts], and the sum of the kept probabilities [ROWS]; of equal ones the first is kept."""
    if TOP_K == EXPERTS:
        gates, total = chance, tl.sum(chance, 1) * 0.0 + 1.0
    else:
        left, gates = chance, chance * 0.0
        for _ in tl.static_range(TOP_K):
            largest = tl.max(left, 1)
            first = tl.min(tl.where(left == largest[:, None], expert[None, :], EXPERTS), 1)
            is_chosen = expert[None, :] == first[:, None]
            gates = tl.where(is_chosen, chance, gates)
            left = tl.where(is_chosen, -1.0, left)
        total = tl.sum(gates, 1)
        gates = gates / total[:, None]
    return gates, total


@triton.jit(do_not_specialize=["tokens"])
def gate_kernel(
    lora_a_out, gated, probabilities, tokens, columns, stride, table,
    LAYERS: tl.constexpr, EXPERTS: tl.constexpr, RANK: tl.constexpr, TOP_K: tl.constexpr,
    PADDED_EXPERTS: tl.constexpr, PADDED_RANK: tl.constexpr, PADDED_COLUMNS: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    is_row = row < tokens
    column = tl.arange(0, PADDED_COLUMNS)
    mask = is_row[:, None] & (column < columns)[None]
    values = tl.load(lora_a_out + row[:, None] * stride + column[None], mask, other=0.0)
    factor = tl.full((ROWS, PADDED_COLUMNS), 1.0, tl.float32)
    expert = tl.arange(0, PADDED_EXPERTS)
    is_expert = expert < EXPERTS
    for layer in tl.static_range(LAYERS):
        first, router = tl.load(table + 2 * layer), tl.load(table + 2 * layer + 1)
        pointers = lora_a_out + row[:, None] * stride + router + expert[None]
        logits = tl.load(pointers, is_row[:, None] & is_expert[None], other=0.0).to(tl.float32)
        logits = tl.where(is_expert[None], logits, float("-inf"))
        chance = tl.exp(logits - tl.max(logits, 1)[:, None])
        chance = chance / tl.sum(chance, 1)[:, None]
        out = probabilities + (layer * tokens + row[:, None]) * EXPERTS + expert[None]
        tl.store(out, chance, is_row[:, None] & is_expert[None])
        gates, _ = _gates(chance, expert, EXPERTS, TOP_K)
        for number in tl.static_range(EXPERTS):
            gate = tl.sum(tl.where(expert[None] == number, gates, 0.0), 1)
            start = first + number * RANK
            factor = tl.where(((column >= start) & (column < start + RANK))[None], gate[:, None], factor)
        factor = tl.where(((column >= router) & (column < router + EXPERTS))[None], 0.0, factor)
    result = (values.to(tl.float32) * factor.to(values.dtype).to(tl.float32)).to(values.dtype)
    tl.store(gated + row[:, None] * columns + column[None], result, mask)


@triton.jit(do_not_specialize=["tokens"])
def gate_backward_kernel(
    grad_gated, lora_a_out, grad, probabilities, grad_chance, tokens, columns, grad_stride, stride, table,
    HAS_GRADS: tl.constexpr,
    LAYERS: tl.constexpr, EXPERTS: tl.constexpr, RANK: tl.constexpr, TOP_K: tl.constexpr,
    PADDED_EXPERTS: tl.constexpr, PADDED_RANK: tl.constexpr, PADDED_COLUMNS: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    is_row = row < tokens
    column = tl.arange(0, PADDED_COLUMNS)
    mask = is_row[:, None] & (column < columns)[None]
    grads = tl.load(grad_gated + row[:, None] * grad_stride + column[None], mask, other=0.0)
    values = tl.load(lora_a_out + row[:, None] * stride + column[None], mask, other=0.0)
    products = grads.to(tl.float32) * values.to(tl.float32)
    result = grads.to(tl.float32)
    expert = tl.arange(0, PADDED_EXPERTS)
    is_expert = (expert < EXPERTS)[None] & is_row[:, None]
    for layer in tl.static_range(LAYERS):
        first, router = tl.load(table + 2 * layer), tl.load(table + 2 * layer + 1)
        offsets = (layer * tokens + row[:, None]) * EXPERTS + expert[None]
        chance = tl.load(probabilities + offsets, is_expert, other=0.0)
        gates, total = _gates(chance, expert, EXPERTS, TOP_K)
        grad_gates = tl.zeros((ROWS, PADDED_EXPERTS), tl.float32)
        for number in tl.static_range(EXPERTS):
            start = first + number * RANK
            is_rank = ((column >= start) & (column < start + RANK))[None]
            is_this = expert[None] == number
            grad_gates = tl.where(is_this, tl.sum(tl.where(is_rank, products, 0.0), 1)[:, None], grad_gates)
            gate = tl.sum(tl.where(is_this, gates, 0.0), 1)
            result = tl.where(is_rank, grads.to(tl.float32) * gate[:, None], result)
        if TOP_K < EXPERTS:
            mean = tl.sum(grad_gates * gates, 1)[:, None]
            grad_gates = tl.where(gates > 0, grad_gates - mean, 0.0) / total[:, None]
        if HAS_GRADS:
            grad_gates += tl.load(grad_chance + offsets, is_expert, other=0.0)
        grad_logits = chance * (grad_gates - tl.sum(grad_gates * chance, 1)[:, None])
        for number in tl.static_range(EXPERTS):
            grad_logit = tl.sum(tl.where(expert[None] == number, grad_logits, 0.0), 1)
            result = tl.where((column == router + number)[None], grad_logit[:, None], result)
    tl.store(grad + row[:, None] * columns + column[None], result.to(grads.dtype), mask)
