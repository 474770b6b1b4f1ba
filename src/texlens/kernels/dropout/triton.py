"""LoRA products of dropped inputs as Triton kernels, which compute the mask while a tile is in registers.

# T = tokens, D = width, R = ranks
"""

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

from texlens.kernels.dropout.mask import LoraDropout
from texlens.kernels.dropout.triton_kernels import (
    dropped_grad_kernel,
    dropped_product_kernel,
    dropped_sum_kernel,
    sum_parts_kernel,
)

_DTYPES = {torch.float32: tl.float32, torch.float16: tl.float16, torch.bfloat16: tl.bfloat16}
_MAX_RANKS, _ROWS, _COLUMNS = 64, 64, 128
_PROGRAMS = 264
_PRODUCT_PROGRAMS = 396
"""Three for each of an H200's multiprocessors, as many as it has registers for at a time."""


def dropped_product(
    x: Float[Tensor, "T D"], lora_a: Float[Tensor, "R D"], dropout: LoraDropout
) -> Float[Tensor, "T R"]:
    """`reference.dropped_product`; rows may be strided."""
    tokens, width = x.shape
    ranks, block = len(lora_a), _rank_block(len(lora_a))
    rows, rank_blocks, columns = triton.cdiv(tokens, _ROWS), triton.cdiv(ranks, block), triton.cdiv(width, _COLUMNS)
    span = triton.cdiv(columns, max(1, _PRODUCT_PROGRAMS // max(1, rows * rank_blocks)))
    parts = triton.cdiv(columns, span)
    out = x.new_empty(tokens, ranks)
    sums = out if parts == 1 else x.new_empty(parts, tokens, ranks, dtype=torch.float32)
    dropped_product_kernel[(rows, rank_blocks, parts)](
        _in_words(x), lora_a, sums, dropout.seed.value, tokens, width, ranks, span, x.stride(0), lora_a.stride(0),
        **_constants(dropout), WORDS=_has_words(x), DTYPE=_DTYPES[x.dtype],
        ROWS=_ROWS, COLUMNS=_COLUMNS, RANKS=block, num_warps=4, num_stages=3,
    )  # fmt: skip
    if parts > 1:
        sum_parts_kernel[(triton.cdiv(out.numel(), 1024),)](sums, out, out.numel(), PARTS=parts, BLOCK=1024)
    return out


def dropped_sum(
    grad_lora_a_out: Float[Tensor, "T R"], x: Float[Tensor, "T D"], dropout: LoraDropout
) -> Float[Tensor, "R D"]:
    """`reference.dropped_sum` in float32; rows may be strided."""
    tokens, width = x.shape
    ranks = grad_lora_a_out.shape[1]
    block, columns = _rank_block(ranks), triton.cdiv(width, _COLUMNS)
    blocks = triton.cdiv(ranks, block)
    span = max(1, triton.cdiv(triton.cdiv(tokens, _sum_chunks(tokens, ranks, columns * blocks)), _ROWS)) * _ROWS
    chunks = triton.cdiv(tokens, span)
    sums = x.new_empty(chunks, ranks, width, dtype=torch.float32)
    dropped_sum_kernel[(columns, chunks, blocks)](
        grad_lora_a_out, _in_words(x), sums, dropout.seed.value, tokens, width, ranks, span,
        grad_lora_a_out.stride(0), x.stride(0),
        **_constants(dropout), WORDS=_has_words(x), DTYPE=_DTYPES[x.dtype],
        ROWS=_ROWS, COLUMNS=_COLUMNS, RANKS=block, num_warps=4, num_stages=3,
    )  # fmt: skip
    return sums.sum(0)


def _sum_chunks(tokens: int, ranks: int, programs: int) -> int:
    """Chunks of tokens that are summed apart: twice as many where their sums are small beside the rows they are of."""
    many = 2 * _PROGRAMS // programs
    return max(1, many if 32 * many * ranks <= tokens else _PROGRAMS // programs)


def write_dropped_grad(
    dx: Float[Tensor, "T D"],
    grad_lora_a_out: Float[Tensor, "T R"],
    lora_a: Float[Tensor, "R D"],
    dropout: LoraDropout,
) -> Float[Tensor, "T D"]:
    """`reference.write_dropped_grad`; rows may be strided."""
    return _dropped_grad(dx, grad_lora_a_out, lora_a, dropout, adds=False)


def add_dropped_grad(
    dx: Float[Tensor, "T D"],
    grad_lora_a_out: Float[Tensor, "T R"],
    lora_a: Float[Tensor, "R D"],
    dropout: LoraDropout,
) -> Float[Tensor, "T D"]:
    """`reference.add_dropped_grad`; rows may be strided."""
    return _dropped_grad(dx, grad_lora_a_out, lora_a, dropout, adds=True)


def _dropped_grad(dx: Tensor, grad_lora_a_out: Tensor, lora_a: Tensor, dropout: LoraDropout, *, adds: bool) -> Tensor:
    tokens, width = dx.shape
    ranks = len(lora_a)
    dropped_grad_kernel[(triton.cdiv(width, _COLUMNS), triton.cdiv(tokens, _ROWS))](
        dx, grad_lora_a_out, lora_a, dropout.seed.value, tokens, width, ranks,
        dx.stride(0), grad_lora_a_out.stride(0), lora_a.stride(0), **_constants(dropout),
        ADD=adds, ROWS=_ROWS, COLUMNS=_COLUMNS, RANKS=_rank_block(ranks), num_warps=4, num_stages=2,
    )  # fmt: skip
    return dx


def _in_words(x: Tensor) -> Tensor:
    """Two values of a row as one word, where `_has_words`; else x."""
    return x.view(torch.int32) if _has_words(x) else x


def _has_words(x: Tensor) -> bool:
    is_even = not (x.shape[1] % 2 or x.stride(0) % 2 or x.storage_offset() % 2)
    return x.itemsize == 2 and x.stride(1) == 1 and is_even


def _rank_block(ranks: int) -> int:
    return min(_MAX_RANKS, max(16, triton.next_power_of_2(ranks)))


def _constants(dropout: LoraDropout) -> dict[str, int | float]:
    return {"product": dropout.product, "THRESHOLD": dropout.threshold, "SCALE": dropout.scale}
