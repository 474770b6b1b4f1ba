"""Choosing the next token of every row on the device, each row with its own settings.

# B = rows, V = vocabulary

A drawn token is a function of the row's seed, of how many tokens it has, and of its logits, and of nothing else: it
does not depend on the rows beside it. Gumbel noise makes of the likeliest token a drawn one (Gumbel 1954; Maddison et
al. 2014, arXiv:1411.0030).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from texlens.kernels.decode.backend import DecodeKernels

BISECTIONS = 40
"""Steps to the probability below which `top_p` leaves tokens out; float32 resolves no more."""


class TokenChoice(NamedTuple):
    """Tokens int64 [B] and their natural log-probabilities under the model's own distribution; the K likeliest tokens
    and theirs [B, K] where they were asked for."""

    tokens: Tensor
    log_probabilities: Tensor
    top_tokens: Tensor | None = None
    top_log_probabilities: Tensor | None = None


class Draw(NamedTuple):
    """Of each row: temperature (0 takes the likeliest token), top_p, seed, and tokens so far."""

    temperature: Tensor
    top_p: Tensor
    seed: Tensor
    count: Tensor


def choose(logits_BV: Tensor, kernels: DecodeKernels, draw: Draw | None = None, alternatives: int = 0) -> TokenChoice:
    """
    Args:
        draw: None where every row takes its likeliest token.
        alternatives: how many of the likeliest tokens to return.
    """
    tokens_B, log_probabilities_B, sums_B = kernels.likeliest(logits_BV)
    if draw is not None:
        logs_BV = logits_BV.float() - sums_B[:, None]
        drawn_B = _drawn(logs_BV, draw)
        tokens_B = torch.where(draw.temperature > 0, drawn_B, tokens_B)
        log_probabilities_B = logs_BV.gather(1, tokens_B[:, None])[:, 0]
    if not alternatives:
        return TokenChoice(tokens_B, log_probabilities_B)
    top_BK = (logits_BV.float() - sums_B[:, None]).topk(min(alternatives, logits_BV.shape[1]))
    return TokenChoice(tokens_B, log_probabilities_B, top_BK.indices, top_BK.values)


def _drawn(logs_BV: Tensor, draw: Draw) -> Tensor:
    heat_B1 = torch.where(draw.temperature > 0, draw.temperature, 1.0)[:, None]
    scaled_BV = (logs_BV / heat_B1).log_softmax(-1)
    kept_BV = scaled_BV >= _threshold(scaled_BV, draw.top_p)[:, None]
    noise_BV = gumbel(draw.seed, draw.count, logs_BV.shape[1])
    return torch.where(kept_BV, scaled_BV + noise_BV, float("-inf")).argmax(-1)


def _threshold(logs_BV: Tensor, top_p_B: Tensor) -> Tensor:
    """The largest log-probability such that the tokens at or above it hold `top_p` of the probability.

    Example:
        probabilities [0.5, 0.3, 0.2], top_p 0.7 -> log 0.3
    """
    probabilities_BV = logs_BV.exp()
    high_B = logs_BV.amax(-1)
    low_B = torch.full_like(high_B, -100.0)
    for _ in range(BISECTIONS):
        middle_B = (low_B + high_B) / 2
        held_B = torch.where(logs_BV >= middle_B[:, None], probabilities_BV, 0).sum(-1)
        enough_B = held_B >= top_p_B
        low_B = torch.where(enough_B, middle_B, low_B)
        high_B = torch.where(enough_B, high_B, middle_B)
    at_top_B = torch.where(logs_BV >= high_B[:, None], probabilities_BV, 0).sum(-1) >= top_p_B
    threshold_B = torch.where(at_top_B, high_B, low_B)
    return torch.where(top_p_B < 1, threshold_B, float("-inf"))


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
