"""LoRA products of dropped inputs as Triton kernels, which compute the mask while a tile is in registers.

# T = tokens, D = width, R = ranks
"""

import torch
import triton
from jaxtyping import Float
from torch import Tensor

from texlens.kernels.dropout.mask import LoraDropout
from texlens.kernels.dropout.triton_kernels import dropped_grad_kernel, dropped_product_kernel, dropped_sum_kernel

_MAX_RANKS, _COLUMNS, _PROGRAMS = 64, 128, 264


def dropped_product(
    x: Float[Tensor, "T D"], lora_a: Float[Tensor, "R D"], dropout: LoraDropout
) -> Float[Tensor, "T R"]:
    """`reference.dropped_product`; rows may be strided."""
    tokens, width = x.shape
    ranks = len(lora_a)
    out = x.new_empty(tokens, ranks)
    rows, block = 64 if tokens >= 8192 else 16, _rank_block(ranks)
    dropped_product_kernel[(triton.cdiv(tokens, rows), triton.cdiv(ranks, block))](
        x, lora_a, out, dropout.seed.value, tokens, width, ranks, x.stride(0), lora_a.stride(0),
        **_constants(dropout), ROWS=rows, COLUMNS=_COLUMNS, RANKS=block, num_warps=4, num_stages=3,
    )  # fmt: skip
    return out


def dropped_sum(
    grad_lora_a_out: Float[Tensor, "T R"], x: Float[Tensor, "T D"], dropout: LoraDropout
) -> Float[Tensor, "R D"]:
    """`reference.dropped_sum` in float32; rows may be strided."""
    tokens, width = x.shape
    ranks = grad_lora_a_out.shape[1]
    block, columns = _rank_block(ranks), triton.cdiv(width, _COLUMNS)
    blocks = triton.cdiv(ranks, block)
    span = triton.cdiv(triton.cdiv(tokens, max(1, _PROGRAMS // (columns * blocks))), 64) * 64
    chunks = triton.cdiv(tokens, span)
    sums = x.new_empty(chunks, ranks, width, dtype=torch.float32)
    dropped_sum_kernel[(columns, chunks, blocks)](
        grad_lora_a_out, x, sums, dropout.seed.value, tokens, width, ranks, span,
        grad_lora_a_out.stride(0), x.stride(0),
        **_constants(dropout), ROWS=64, COLUMNS=_COLUMNS, RANKS=block, num_warps=4, num_stages=3,
    )  # fmt: skip
    return sums.sum(0)


def add_dropped_grad(
    dx: Float[Tensor, "T D"],
    grad_lora_a_out: Float[Tensor, "T R"],
    lora_a: Float[Tensor, "R D"],
    dropout: LoraDropout,
) -> Float[Tensor, "T D"]:
    """`reference.add_dropped_grad`; rows may be strided."""
    tokens, width = dx.shape
    ranks = len(lora_a)
    dropped_grad_kernel[(triton.cdiv(width, _COLUMNS), triton.cdiv(tokens, 64))](
        dx, grad_lora_a_out, lora_a, dropout.seed.value, tokens, width, ranks,
        dx.stride(0), grad_lora_a_out.stride(0), lora_a.stride(0),
        **_constants(dropout), ROWS=64, COLUMNS=_COLUMNS, RANKS=_rank_block(ranks), num_warps=4, num_stages=2,
    )  # fmt: skip
    return dx


def _rank_block(ranks: int) -> int:
    return min(_MAX_RANKS, max(16, triton.next_power_of_2(ranks)))


def _constants(dropout: LoraDropout) -> dict[str, int | float]:
    return {"product": dropout.product, "THRESHOLD": dropout.threshold, "SCALE": dropout.scale}
