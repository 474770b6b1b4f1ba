"""Choosing the next token of every row on the device, each row with its own settings.

# B = rows, V = vocabulary

A drawn token is a function of the row's seed, of how many tokens it has, and of its logits, and of nothing else: it
does not depend on the rows beside it. Gumbel noise makes of the likeliest token a drawn one (Gumbel 1954; Maddison et
al. 2014, arXiv:1411.0030).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from texlens.inference.decoding.sample_tokens import MIN_TEMPERATURE
from texlens.kernels.decode.backend import DecodeKernels
from texlens.kernels.decode.noise import gumbel

BISECTIONS = 40
"""Steps to the probability below which `top_p` or `top_k` leave tokens out; float32 resolves no more."""
CANDIDATES = 64
"""Likeliest tokens that a grammar chooses from, as in the reference."""
NOT_FORCED = -1


class TokenChoice(NamedTuple):
    """Tokens int64 [B] and their natural log-probabilities under the model's own distribution; the K likeliest tokens
    and theirs [B, K] where they were asked for; and those that a grammar may choose from [B, CANDIDATES]."""

    tokens: Tensor
    log_probabilities: Tensor
    top_tokens: Tensor | None = None
    top_log_probabilities: Tensor | None = None
    candidates: Tensor | None = None


class Draw(NamedTuple):
    """Of each row: temperature (0 takes the likeliest token), seed, and tokens so far; what truncates its distribution
    (`top_p`, `min_p`, `top_k`), None where no row's is."""

    temperature: Tensor
    seed: Tensor
    count: Tensor
    truncation: "Truncation | None" = None


class Truncation(NamedTuple):
    """See `decoding.sampling.Sampling`; 1, 0 and 0 keep every token."""

    top_p: Tensor
    min_p: Tensor
    top_k: Tensor


class Penalty(NamedTuple):
    """Of each row: how often it has generated each token [B, V], and its repetition penalty."""

    used: Tensor
    factor: Tensor


def choose(
    logits_BV: Tensor,
    kernels: DecodeKernels,
    draw: Draw | None = None,
    alternatives: int = 0,
    *,
    penalty: Penalty | None = None,
    forced_B: Tensor | None = None,
) -> TokenChoice:
    """
    Args:
        draw: None where every row takes its likeliest token.
        alternatives: how many of the likeliest tokens to return.
        penalty: None where no row has one.
        forced_B: tokens that rows must take, or `NOT_FORCED`; with it candidates are returned.
    """
    tokens_B, log_probabilities_B, sums_B = kernels.likeliest(logits_BV)
    if draw is None and not alternatives and penalty is None and forced_B is None:
        return TokenChoice(tokens_B, log_probabilities_B)
    if draw is not None and draw.truncation is None and not alternatives and penalty is None and forced_B is None:
        return _drawn_alone(logits_BV, kernels, draw, TokenChoice(tokens_B, log_probabilities_B), sums_B)
    logits_BV = logits_BV.float()
    logs_BV = logits_BV - sums_B[:, None]
    scores_BV = logs_BV
    if penalty is not None:
        scores_BV = _penalized(logits_BV, logs_BV, penalty)
        tokens_B = scores_BV.argmax(-1)
    if draw is not None:
        tokens_B = torch.where(draw.temperature > 0, _drawn(scores_BV, kernels, draw), tokens_B)
    candidates_BK = None
    if forced_B is not None:
        tokens_B = torch.where(forced_B == NOT_FORCED, tokens_B, forced_B)
        candidates_BK = scores_BV.topk(min(CANDIDATES, logs_BV.shape[1])).indices
    log_probabilities_B = torch.where(
        log_probabilities_B.isnan(), log_probabilities_B, logs_BV.gather(1, tokens_B[:, None])[:, 0]
    )
    choice = TokenChoice(tokens_B, log_probabilities_B, candidates=candidates_BK)
    if not alternatives:
        return choice
    top_BK = logs_BV.topk(min(alternatives, logits_BV.shape[1]))
    return choice._replace(top_tokens=top_BK.indices, top_log_probabilities=top_BK.values)


def _drawn_alone(
    logits_BV: Tensor, kernels: DecodeKernels, draw: Draw, likeliest: TokenChoice, sums_B: Tensor
) -> TokenChoice:
    """Nothing but draws: tensors as large as the logits are not needed."""
    tokens_B = torch.where(draw.temperature > 0, _drawn(logits_BV, kernels, draw), likeliest.tokens)
    logs_B = logits_BV.gather(1, tokens_B[:, None])[:, 0].float() - sums_B
    is_bad_B = likeliest.log_probabilities.isnan()
    return TokenChoice(tokens_B, torch.where(is_bad_B, likeliest.log_probabilities, logs_B))


def _penalized(logits_BV: Tensor, logs_BV: Tensor, penalty: Penalty) -> Tensor:
    """Scores to choose by: logits over the penalty where positive and times it where negative, of tokens that the row
    has generated (Keskar et al. 2019, section 4.1)."""
    factor_B1 = penalty.factor[:, None]
    penalized_BV = torch.where(logits_BV > 0, logits_BV / factor_B1, logits_BV * factor_B1)
    return torch.where(factor_B1 == 1, logs_BV, torch.where(penalty.used > 0, penalized_BV, logits_BV))


def _drawn(scores_BV: Tensor, kernels: DecodeKernels, draw: Draw) -> Tensor:
    heat_B = torch.where(draw.temperature > 0, draw.temperature.clamp(min=MIN_TEMPERATURE), 1.0)
    if draw.truncation is None:
        return kernels.drawn(scores_BV, heat_B, draw.seed, draw.count)
    scaled_BV = (scores_BV / heat_B[:, None]).log_softmax(-1)
    is_left_out_BV = scaled_BV < _threshold(scaled_BV, draw.truncation)[:, None]
    noisy_BV = scaled_BV + gumbel(draw.seed, draw.count, scores_BV.shape[1])
    return noisy_BV.masked_fill(is_left_out_BV, float("-inf")).argmax(-1)


def _threshold(logs_BV: Tensor, truncation: Truncation) -> Tensor:
    """The log-probability that a token must reach to be kept; that of the likeliest one is never under it.

    Example:
        probabilities [0.5, 0.3, 0.2], top_p 0.7 -> log 0.3; top_k 1 -> log 0.5; min_p 0.5 -> log 0.25
    """
    top_p_B, min_p_B, top_k_B = truncation
    highest_B = logs_BV.amax(-1)
    nucleus_B = _least_held(logs_BV, logs_BV.exp(), top_p_B)
    kth_B = _least_held(logs_BV, torch.ones_like(logs_BV), top_k_B.clamp(min=1).float())
    none_B = torch.full_like(highest_B, float("-inf"))
    limits = (
        torch.where(top_p_B < 1, nucleus_B, none_B),
        torch.where(top_k_B > 0, kth_B, none_B),
        torch.where(min_p_B > 0, highest_B + min_p_B.clamp(min=1e-30).log(), none_B),
    )
    return torch.minimum(torch.stack(limits).amax(0), highest_B)


def _least_held(logs_BV: Tensor, weights_BV: Tensor, needed_B: Tensor) -> Tensor:
    """The largest log-probability such that the tokens at or above it have weights of `needed_B` in all."""
    high_B = logs_BV.amax(-1)
    low_B = torch.full_like(high_B, -100.0)
    at_top_B = torch.where(logs_BV >= high_B[:, None], weights_BV, 0).sum(-1) >= needed_B
    top_B = high_B
    for _ in range(BISECTIONS):
        middle_B = (low_B + high_B) / 2
        enough_B = torch.where(logs_BV >= middle_B[:, None], weights_BV, 0).sum(-1) >= needed_B
        low_B = torch.where(enough_B, middle_B, low_B)
        high_B = torch.where(enough_B, high_B, middle_B)
    return torch.where(at_top_B, top_B, low_B)
