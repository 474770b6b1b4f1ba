"""The clipped policy loss of GRPO and its variants.

    loss = -min(s A, clip(s, 1 - low, 1 + high) A) + kl (exp(d) - d - 1),   d = log p_start - log p

for each token, with A its answer's advantage and s the ratio of new to old probability: of the token (GRPO, Shao et
al. 2024, arXiv:2402.03300, equation 3; clip bounds apart, DAPO, arXiv:2503.14476, equation 10), or the geometric mean
over its answer (GSPO, Zheng et al. 2025, arXiv:2507.18071, equation 5).

# L = tokens (label rows), A = answers
"""

from typing import NamedTuple

import torch
from torch import Tensor

Clip = tuple[float, float]


class TokenLoss(NamedTuple):
    """Of each token [L]: its loss; whether its ratio was clipped; its divergence from the start (0 without one)."""

    loss: Tensor
    is_clipped: Tensor
    divergence: Tensor


def policy_loss(
    policy_L: Tensor,
    old_L: Tensor,
    advantages_A: Tensor,
    answers_L: Tensor,
    *,
    ratio: str,
    clip: Clip,
    kl: float = 0.0,
    start_L: Tensor | None = None,
) -> TokenLoss:
    """
    Args:
        policy_L: log-probabilities now.
        old_L: those with which the answers were drawn.
        answers_L: number of each token's answer.
        clip: how far below and above 1 the ratio counts.
        start_L: log-probabilities of the model at the start, or None.

    Example:
        ratio 1.5 and advantage 1.0, clip (0.2, 0.28) -> -1.28; advantage -1.0 -> 1.5
    """
    low, high = clip
    change_L = policy_L - old_L
    if ratio == "sequence":
        change_L = _answer_means(change_L, answers_L, len(advantages_A))[answers_L]
    ratio_L, advantages_L = change_L.exp(), advantages_A[answers_L]
    plain_L = ratio_L * advantages_L
    clipped_L = ratio_L.clamp(1 - low, 1 + high) * advantages_L
    loss_L = -torch.minimum(plain_L, clipped_L)
    divergence_L = torch.zeros_like(policy_L)
    if start_L is not None:
        divergence_L = _divergence(policy_L, start_L)
        loss_L = loss_L + kl * divergence_L
    return TokenLoss(loss_L, clipped_L.detach() < plain_L.detach(), divergence_L.detach())


def _divergence(policy_L: Tensor, start_L: Tensor) -> Tensor:
    """Schulman's estimator of KL(p || p_start), never negative (k3, http://joschu.net/blog/kl-approx.html)."""
    difference_L = start_L - policy_L
    return difference_L.exp() - difference_L - 1


def _answer_means(values_L: Tensor, answers_L: Tensor, answers: int) -> Tensor:
    sums_A = values_L.new_zeros(answers).index_add(0, answers_L, values_L)
    counts_A = values_L.new_zeros(answers).index_add(0, answers_L, torch.ones_like(values_L))
    return sums_A / counts_A.clamp(min=1)


def token_weights(counts_A: Tensor, answers_L: Tensor, *, normalize: str, limit: int) -> Tensor:
    """The weight of each token [L] before division by the step's total (see `weight_total`).

    Args:
        counts_A: tokens of each answer.
        normalize: `tokens`: all alike; `answers`: 1 / tokens of its answer; `length`: 1 / limit.
    """
    if normalize == "tokens":
        return torch.ones(len(answers_L), device=counts_A.device)
    if normalize == "answers":
        return 1 / counts_A.clamp(min=1).float()[answers_L]
    return torch.full((len(answers_L),), 1 / limit, device=counts_A.device)


def weight_total(tokens: int, answers: int, normalize: str) -> int:
    """What weighted losses are divided by: tokens of the step, or answers."""
    return max(1, tokens if normalize == "tokens" else answers)
