"""Odds ratio preference optimization.

    loss = -log p(chosen) / tokens - beta log sigmoid(log odds(chosen) - log odds(rejected)),   odds = p / (1 - p)

with p the geometric mean of an answer's token probabilities. Source: Hong et al. 2024, arXiv:2403.07691, equations 4
to 7; beta is lambda there. The likelihood is of the answer's tokens alone.

# N = pairs
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

ALMOST_1 = -1e-6
"""Mean log-probabilities are at most this, so that the odds are finite."""


class OddsLoss(NamedTuple):
    """Of each pair [N]: the whole loss, its likelihood part and the log odds ratio, the last two without gradients."""

    loss: Tensor
    likelihood_loss: Tensor
    log_odds_ratio: Tensor


def orpo_loss(policy_N2: Tensor, tokens_N2: Tensor, *, beta: float) -> OddsLoss:
    """
    Args:
        policy_N2: summed log-probabilities of the chosen and the rejected answer.
        tokens_N2: of both.

    Example:
        probabilities 0.5 and 0.25 of one token each, beta 1.0 -> ratio log 3 = 1.0986, loss 0.6931 + 0.2877
    """
    means_N2 = policy_N2 / tokens_N2.clamp(min=1)
    bounded_N2 = means_N2.clamp(max=ALMOST_1)
    odds_N2 = bounded_N2 - torch.log(-torch.expm1(bounded_N2))
    ratio_N = odds_N2[:, 0] - odds_N2[:, 1]
    loss_N = -means_N2[:, 0] - beta * functional.logsigmoid(ratio_N)
    return OddsLoss(loss_N, -means_N2[:, 0].detach(), ratio_N.detach())
