"""ORPO's loss by its formula."""

from math import exp, log

import pytest
import torch

from texlens.training.objectives.losses.orpo import orpo_loss


def test_the_loss_adds_likelihood_and_odds_ratio_of_mean_probabilities():
    outcome = orpo_loss(torch.tensor([[2 * log(0.5), 4 * log(0.25)]]), torch.tensor([[2, 4]]), beta=0.3)
    ratio = log(0.5 / 0.5) - log(0.25 / 0.75)
    assert outcome.log_odds_ratio.tolist() == pytest.approx([ratio], abs=1e-5)
    assert outcome.likelihood_loss.tolist() == pytest.approx([log(2)])
    assert outcome.loss.tolist() == pytest.approx([log(2) + 0.3 * log(1 + exp(-ratio))])


def test_a_certain_answer_has_finite_odds_and_gradient():
    policy = torch.tensor([[0.0, -1.0]], requires_grad=True)
    outcome = orpo_loss(policy, torch.tensor([[1, 1]]), beta=1.0)
    outcome.loss.sum().backward()
    assert outcome.loss.isfinite().all()
    assert policy.grad.isfinite().all()
