"""DPO's loss by its formula."""

from math import exp, log

import pytest
import torch

from texlens.training.objectives.losses.dpo import dpo_loss, mean_likelihood_loss


def sigmoid(x):
    return 1 / (1 + exp(-x))


def test_the_loss_is_the_negative_log_sigmoid_of_the_margin():
    outcome = dpo_loss(torch.tensor([[-1.0, -3.0], [-4.0, -2.5]]), torch.tensor([[-2.0, -2.0], [-3.0, -2.0]]), beta=0.5)
    assert outcome.loss.tolist() == pytest.approx([-log(sigmoid(1.0)), -log(sigmoid(-0.25))])
    assert outcome.chosen_reward.tolist() == [0.5, -0.5]
    assert outcome.rejected_reward.tolist() == [-0.5, -0.25]


def test_smoothing_mixes_the_loss_of_the_swapped_pair():
    outcome = dpo_loss(torch.tensor([[-1.0, -3.0]]), torch.zeros(1, 2), beta=1.0, label_smoothing=0.1)
    assert outcome.loss.tolist() == pytest.approx([-0.9 * log(sigmoid(2.0)) - 0.1 * log(sigmoid(-2.0))])


def test_the_gradient_is_beta_times_the_probability_of_the_wrong_order():
    policy = torch.tensor([[-1.0, -3.0]], requires_grad=True)
    dpo_loss(policy, torch.zeros(1, 2), beta=0.5).loss.sum().backward()
    assert policy.grad.tolist() == [pytest.approx([-0.5 * sigmoid(-1.0), 0.5 * sigmoid(-1.0)])]


def test_likelihood_is_a_mean_over_tokens():
    assert mean_likelihood_loss(torch.tensor([-6.0]), torch.tensor([3])).tolist() == [2.0]
