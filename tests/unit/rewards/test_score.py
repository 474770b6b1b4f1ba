"""Scores of answers: weights, watched scores, failures that name the row, and worker processes."""

import pytest

from texlens.core.errors import RunError
from texlens.metrics.prediction import Prediction
from texlens.rewards.own import OwnReward
from texlens.rewards.score import RewardScorer, RewardSpec

ROWS = [Prediction("1", "a + b", "a + b"), Prediction("2", "a + b", "a + c")]


def scored(spec, rows=ROWS, processes=0):
    with RewardScorer(spec, processes) as scorer:
        return scorer.collect([scorer.submit(rows)])


def test_the_total_is_the_weighted_sum_and_watched_scores_do_not_count():
    first, second = scored(RewardSpec({"exact": 2.0, "edit_similarity": 3.0}, watched=("valid",)))
    assert (first.total, second.total) == (5.0, pytest.approx(2.0))
    assert second.values == {"exact": 0.0, "edit_similarity": pytest.approx(2 / 3), "valid": 1.0}


def test_processes_give_the_same_scores():
    spec = RewardSpec({"exact": 1.0, "cdm_f1": 0.5}, (OwnReward("tests.unit.rewards.test_score:shorter"),))
    assert scored(spec, processes=1) == scored(spec)


def shorter(text, reference):
    return -abs(len(text) - len(reference))


def nothing(text, reference):
    return float("nan")


def test_a_reward_that_is_nan_is_an_error_with_its_row():
    with pytest.raises(RunError, match=r"row 1: the reward .*nothing gave nan"):
        scored(RewardSpec({}, (OwnReward("tests.unit.rewards.test_score:nothing"),)))


def broken(text, reference):
    raise KeyError("x")


def test_a_reward_that_fails_is_an_error_with_its_row():
    with pytest.raises(RunError, match=r"row 1: a reward failed .*KeyError"):
        scored(RewardSpec({}, (OwnReward("tests.unit.rewards.test_score:broken"),)))
