"""Gumbel noise from a hash: a function of seed, count and column, and so of nothing that differs between devices.

# B = rows, V = vocabulary
"""

import torch
from torch import Tensor


def gumbel(seed_B: Tensor, count_B: Tensor, width: int) -> Tensor:
    """Standard Gumbel noise [B, V] from a hash of seed, count and column."""
    columns_V = torch.arange(width, device=seed_B.device)
    key_BV = _mixed(seed_B * 1_000_003 + count_B)[:, None] + columns_V * 2_654_435_761
    uniform_BV = (_mixed(key_BV) >> 40).bitwise_and(0x7FFFFF).float().add(0.5) / 0x800000
    return -(-uniform_BV.log()).log()


def _mixed(x: Tensor) -> Tensor:
    """The finalizer of MurmurHash3 on int64 (its shifts are of the sign's kind, which mixes as well)."""
    x = (x ^ (x >> 33)) * -49064778989728563
    x = (x ^ (x >> 33)) * -4265267296055464877
    return x ^ (x >> 33)
