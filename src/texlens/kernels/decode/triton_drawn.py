"""A drawn token of each row as a Triton kernel that reads the logits once; `reference.drawn` has the contract, and
`noise.py` the hash.

# T = rows, V = vocabulary
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from texlens.kernels.decode.triton_likeliest import PROGRAMS

BLOCK = 2048


def drawn(logits_TV: Tensor, temperature_T: Tensor, seed_T: Tensor, count_T: Tensor) -> Tensor:
    """See `reference.drawn`."""
    rows, width = logits_TV.shape
    splits = max(1, min(32, 4 * PROGRAMS // rows))
    chunk = triton.cdiv(triton.cdiv(width, splits), BLOCK) * BLOCK
    largest_TS = torch.empty(rows, splits, dtype=torch.float32, device=logits_TV.device)
    places_TS = torch.empty(rows, splits, dtype=torch.int64, device=logits_TV.device)
    _drawn[(rows, splits)](
        logits_TV, temperature_T, seed_T, count_T, largest_TS, places_TS, width, logits_TV.stride(0), chunk,
        SPLITS=splits, BLOCK=BLOCK, num_warps=8,
    )  # fmt: skip
    return places_TS.gather(1, largest_TS.argmax(-1, keepdim=True))[:, 0]


@triton.jit
def _drawn(
    logits, temperature, seed, count, largest, places, width, stride, chunk, SPLITS: tl.constexpr, BLOCK: tl.constexpr
):
    row, split = tl.program_id(0), tl.program_id(1)
    heat = tl.load(temperature + row)
    key = _mixed(tl.load(seed + row).to(tl.int64) * 1000003 + tl.load(count + row).to(tl.int64))
    most = tl.full((), float("-inf"), tl.float32)
    position = tl.zeros((), tl.int64)
    for start in range(split * chunk, tl.minimum((split + 1) * chunk, width), BLOCK):
        cols = start + tl.arange(0, BLOCK)
        x = tl.load(logits + row.to(tl.int64) * stride + cols, mask=cols < width, other=float("-inf")).to(tl.float32)
        high, at = tl.max(x / heat + _gumbel(key, cols), 0, return_indices=True, return_indices_tie_break_left=True)
        position = tl.where(high > most, start + at, position)
        most = tl.maximum(most, high)
    tl.store(largest + row * SPLITS + split, most)
    tl.store(places + row * SPLITS + split, position)


@triton.jit
def _mixed(x):
    x = (x ^ (x >> 33)) * -49064778989728563
    x = (x ^ (x >> 33)) * -4265267296055464877
    return x ^ (x >> 33)


@triton.jit
def _gumbel(key, cols):
    bits = (_mixed(key + cols.to(tl.int64) * 2654435761) >> 40) & 0x7FFFFF
    uniform = (bits.to(tl.float32) + 0.5) / 8388608.0
    # -log(u) near 1 from the distance to 1, which is exact, by its series: the logarithm of a GPU has an absolute error
    # of 2e-7 there, and the largest of many draws is from there.
    distance = ((8388607 - bits).to(tl.float32) + 0.5) / 8388608.0
    series = 1.0 / 3 + distance * (1.0 / 4 + distance * (1.0 / 5 + distance * (1.0 / 6 + distance / 7)))
    near = distance * (1.0 + distance * (0.5 + distance * series))
    return -tl.log(tl.where(distance < 0.0625, near, -tl.log(uniform)))
