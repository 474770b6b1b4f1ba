"""Measurements are means by weight and are forgotten once they are taken."""

import torch

from texlens.training.backends.protocol import Mean, mean_of
from texlens.training.objectives.measurements import Measurements, answer_sums


def test_means_are_weighted():
    measurements = Measurements()
    measurements.add_all("reward", torch.tensor([1.0, 0.0, 0.0]))
    measurements.add_all("reward", torch.tensor([1.0]))
    measurements.add_all("reward", torch.zeros(0))
    assert measurements.take() == {"objective_reward": Mean(0.5, 4.0)}
    assert measurements.take() == {}


def test_means_of_processes_count_by_what_they_are_over():
    assert mean_of([Mean(1.0, 3.0), Mean(0.0, 1.0)]) == 0.75


def test_tokens_are_summed_by_answer():
    assert answer_sums(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0, 1, 0]), 3).tolist() == [5.0, 2.0, 0.0]
