"""Of each row's logits the likeliest token and its log-probability as Triton kernels; `reference.likeliest` has the
contract.

# T = rows, V = vocabulary
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

PROGRAMS = 264
"""Two for each multiprocessor of an H100 or H200: fewer leave some idle, so keys are split further."""


def likeliest(logits_TV: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """See `reference.likeliest`."""
    rows, width = logits_TV.shape
    splits = max(1, min(32, 2 * PROGRAMS // rows))
    block = 4096
    chunk = triton.cdiv(triton.cdiv(width, splits), block) * block
    largest = torch.empty(rows, splits, dtype=torch.float32, device=logits_TV.device)
    sums, places = torch.empty_like(largest), torch.empty(rows, splits, dtype=torch.int64, device=logits_TV.device)
    _likeliest[(rows, splits)](
        logits_TV, largest, sums, places, width, logits_TV.stride(0), chunk, SPLITS=splits, BLOCK=block, num_warps=8
    )
    tokens_T = torch.empty(rows, dtype=torch.int64, device=logits_TV.device)
    log_probabilities_T = torch.empty(rows, dtype=torch.float32, device=logits_TV.device)
    log_sums_T = torch.empty_like(log_probabilities_T)
    _combine_likeliest[(rows,)](
        largest, sums, places, tokens_T, log_probabilities_T, log_sums_T,
        SPLITS=splits, BLOCK=triton.next_power_of_2(splits), num_warps=1,
    )  # fmt: skip
    return tokens_T, log_probabilities_T, log_sums_T


@triton.jit
def _likeliest(logits, largest, sums, places, width, stride, chunk, SPLITS: tl.constexpr, BLOCK: tl.constexpr):
    row, split = tl.program_id(0), tl.program_id(1)
    most = tl.full((), float("-inf"), tl.float32)
    total = tl.zeros((), tl.float32)
    position = tl.zeros((), tl.int64)
    for start in range(split * chunk, tl.minimum((split + 1) * chunk, width), BLOCK):
        cols = start + tl.arange(0, BLOCK)
        x = tl.load(logits + row.to(tl.int64) * stride + cols, mask=cols < width, other=float("-inf")).to(tl.float32)
        high, at = tl.max(x, 0, return_indices=True, return_indices_tie_break_left=True)
        position = tl.where(high > most, start + at, position)
        higher = tl.maximum(most, high)
        safe = tl.where(higher == float("-inf"), 0.0, higher)
        total = total * tl.exp(most - safe) + tl.sum(tl.exp(x - safe), 0)
        most = higher
    slot = row * SPLITS + split
    tl.store(largest + slot, most)
    tl.store(sums + slot, total)
    tl.store(places + slot, position)


@triton.jit
def _combine_likeliest(
    largest, sums, places, tokens, log_probabilities, log_sums, SPLITS: tl.constexpr, BLOCK: tl.constexpr
):
    row = tl.program_id(0)
    splits = tl.arange(0, BLOCK)
    mask = splits < SPLITS
    high = tl.load(largest + row * SPLITS + splits, mask=mask, other=float("-inf"))
    most, at = tl.max(high, 0, return_indices=True, return_indices_tie_break_left=True)
    total = tl.sum(tl.load(sums + row * SPLITS + splits, mask=mask, other=0.0) * tl.exp(high - most), 0)
    tl.store(tokens + row, tl.load(places + row * SPLITS + at))
    tl.store(log_probabilities + row, -tl.log(total))
    tl.store(log_sums + row, most + tl.log(total))
