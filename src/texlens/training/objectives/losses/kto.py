"""Kahneman-Tversky optimization: answers that are good or bad, not in pairs.

    loss = w_good (1 - sigmoid(beta (r - z)))  of a good answer,   w_bad (1 - sigmoid(beta (z - r)))  of a bad one

with r = log p(y | x) - log p_start(y | x), and z the divergence from the start, estimated on answers of other rows, at
least 0 and without gradient. Source: Ethayarajh et al. 2024, arXiv:2402.01306, equation 8.

# N = answers
"""

from typing import NamedTuple

import torch
from torch import Tensor


class AnswerLoss(NamedTuple):
    """Of each answer [N]: its loss, and beta r without gradient."""

    loss: Tensor
    reward: Tensor


def kto_loss(
    policy_N: Tensor,
    reference_N: Tensor,
    is_desirable_N: Tensor,
    divergence: Tensor,
    *,
    beta: float,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> AnswerLoss:
    """
    Args:
        policy_N, reference_N: summed log-probabilities now and at the start.
        divergence: z, see `divergence_of`.

    Example:
        policy [-1, -3], reference [-2, -2], desirable [True, False], z 0.0, beta 1.0 -> loss [0.2689, 0.2689]
    """
    ratio_N = policy_N - reference_N
    good_N = desirable_weight * (1 - torch.sigmoid(beta * (ratio_N - divergence)))
    bad_N = undesirable_weight * (1 - torch.sigmoid(beta * (divergence - ratio_N)))
    return AnswerLoss(torch.where(is_desirable_N, good_N, bad_N), beta * ratio_N.detach())


def divergence_of(policy_N: Tensor, reference_N: Tensor) -> Tensor:
    """Sum over answers of other rows of log p - log p_start, whose mean, at least 0, is z."""
    return (policy_N - reference_N).sum()
