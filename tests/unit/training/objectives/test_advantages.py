"""Advantages within groups."""

import pytest
import torch

from texlens.training.objectives.advantages import advantages, deviation_of, has_spread, sums_of

REWARDS = torch.tensor([[1.0, 0.0, 0.0, 1.0], [0.5, 0.5, 0.5, 0.5]])


def test_a_group_is_centered_and_scaled_by_its_own_deviation():
    first, flat = advantages(REWARDS, "group").tolist()
    assert first == pytest.approx([0.866, -0.866, -0.866, 0.866], abs=1e-3)
    assert flat == [0.0] * 4


def test_mean_centers_alone_and_batch_scales_by_the_deviation_of_all():
    assert advantages(REWARDS, "mean")[0].tolist() == [0.5, -0.5, -0.5, 0.5]
    deviation = deviation_of(*sums_of(REWARDS).tolist())
    assert deviation == pytest.approx(REWARDS.std().item())
    assert advantages(REWARDS, "batch", deviation)[0].tolist() == pytest.approx(
        [value / (deviation + 1e-4) for value in (0.5, -0.5, -0.5, 0.5)]
    )


def test_spread_is_a_difference_in_reward():
    assert has_spread(REWARDS).tolist() == [True, False]


def test_one_answer_has_no_deviation():
    assert deviation_of(1, 2.0, 4.0) == 0.0
