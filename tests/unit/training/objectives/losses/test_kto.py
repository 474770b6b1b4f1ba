"""KTO's loss by its formula."""

from math import exp

import pytest
import torch

from texlens.training.objectives.losses.kto import divergence_of, kto_loss


def sigmoid(x):
    return 1 / (1 + exp(-x))


def test_good_and_bad_answers_are_on_opposite_sides_of_the_divergence():
    outcome = kto_loss(
        torch.tensor([-1.0, -3.0, -5.0]),
        torch.tensor([-2.0, -2.0, -2.0]),
        torch.tensor([True, False, False]),
        torch.tensor(0.5),
        beta=0.2,
        desirable_weight=1.0,
        undesirable_weight=1.5,
    )
    expected = [1 - sigmoid(0.2 * 0.5), 1.5 * (1 - sigmoid(0.2 * 1.5)), 1.5 * (1 - sigmoid(0.2 * 3.5))]
    assert outcome.loss.tolist() == pytest.approx(expected)
    assert outcome.reward.tolist() == pytest.approx([0.2, -0.2, -0.6])


def test_the_divergence_is_a_sum_of_log_ratios():
    assert divergence_of(torch.tensor([-1.0, -2.0]), torch.tensor([-2.0, -2.5])).item() == 1.5
