"""Measurements are means by weight and are forgotten once they are taken."""

import torch

from texlens.training.objectives.measurements import Measurements, answer_sums


def test_means_are_weighted():
    measurements = Measurements()
    measurements.add_all("reward", torch.tensor([1.0, 0.0, 0.0]))
    measurements.add_all("reward", torch.tensor([1.0]))
    measurements.add_all("reward", torch.zeros(0))
    assert measurements.take() == {"objective_reward": 0.5}
    assert measurements.take() == {}


def test_tokens_are_summed_by_answer():
    assert answer_sums(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0, 1, 0]), 3).tolist() == [5.0, 2.0, 0.0]
