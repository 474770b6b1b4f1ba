"""Direct preference optimization.

    loss = -log sigmoid(beta (r_chosen - r_rejected)),   r = log p(y | x) - log p_start(y | x)

Source: Rafailov et al. 2023, arXiv:2305.18290, equation 7; with label smoothing e, (1 - e) of it and e of the loss of
the swapped pair (Mitchell 2023, "A note on DPO with noisy preferences").

# N = pairs
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class PairLoss(NamedTuple):
    """Of each pair [N]: its loss, and the implicit rewards beta r of both answers, without gradients."""

    loss: Tensor
    chosen_reward: Tensor
    rejected_reward: Tensor


def dpo_loss(policy_N2: Tensor, reference_N2: Tensor, *, beta: float, label_smoothing: float = 0.0) -> PairLoss:
    """
    Args:
        policy_N2: summed log-probabilities of the chosen and the rejected answer.
        reference_N2: the same of the model at the start.

    Example:
        policy [[-1, -3]], reference [[-2, -2]], beta 1.0 -> loss [0.1269], rewards [1.0], [-1.0]
    """
    rewards_N2 = beta * (policy_N2 - reference_N2)
    margin_N = rewards_N2[:, 0] - rewards_N2[:, 1]
    loss_N = -(1 - label_smoothing) * functional.logsigmoid(margin_N)
    if label_smoothing:
        loss_N = loss_N - label_smoothing * functional.logsigmoid(-margin_N)
    chosen_N, rejected_N = rewards_N2.detach().unbind(1)
    return PairLoss(loss_N, chosen_N, rejected_N)


def mean_likelihood_loss(policy_N: Tensor, tokens_N: Tensor) -> Tensor:
    """Negative log-likelihood of each answer per token [N]."""
    return -policy_N / tokens_N.clamp(min=1).to(torch.float32)
