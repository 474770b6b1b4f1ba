"""Intervals repeat, cover what they should, and the exact test is the textbook's."""

import numpy as np
import pytest

from texlens.metrics import statistics
from texlens.metrics.statistics import Interval, mcnemar_exact, percentile_interval, resampled_sums


def test_the_same_seed_draws_the_same_rows_and_another_seed_others():
    rows = np.arange(50.0)[:, None]
    assert (resampled_sums(rows, seed=3) == resampled_sums(rows, seed=3)).all()
    assert (resampled_sums(rows, seed=3) != resampled_sums(rows, seed=4)).any()


def test_every_resample_has_as_many_rows_as_there_are():
    assert (resampled_sums(np.ones((37, 1)), resamples=20) == 37).all()


def test_columns_are_resampled_together():
    rows = np.random.default_rng(0).random((40, 1))
    sums = resampled_sums(np.concatenate([rows, rows + 1], axis=1), resamples=30)
    assert sums[:, 1] - sums[:, 0] == pytest.approx(np.full(30, 40.0))


def test_one_row_gives_an_interval_without_width():
    assert percentile_interval(0.5, resampled_sums(np.array([[0.5]]))[:, 0]) == Interval(0.5, 0.5, 0.5)


def test_drawing_in_small_steps_still_gives_every_resample(monkeypatch):
    monkeypatch.setattr(statistics, "_DRAWS_AT_ONCE", 100)
    sums = resampled_sums(np.ones((30, 1)), resamples=10)
    assert sums.shape == (10, 1)
    assert (sums == 30).all()


def test_the_interval_of_a_share_agrees_with_the_normal_approximation():
    rows = np.array([1.0] * 300 + [0.0] * 700)[:, None]
    interval = percentile_interval(0.3, resampled_sums(rows)[:, 0] / 1000)
    assert interval.low == pytest.approx(0.3 - 1.96 * 0.01449, abs=0.004)
    assert interval.high == pytest.approx(0.3 + 1.96 * 0.01449, abs=0.004)


def test_intervals_cover_the_true_share_about_95_times_in_100():
    draw = np.random.default_rng(1)
    covered = 0
    for seed in range(200):
        rows = (draw.random((150, 1)) < 0.4).astype(float)
        interval = percentile_interval(rows.mean(), resampled_sums(rows, resamples=300, seed=seed)[:, 0] / 150)
        covered += interval.low <= 0.4 <= interval.high
    assert 178 <= covered <= 199


@pytest.mark.parametrize(
    ("first", "second", "p_value"), [(0, 0, 1.0), (5, 5, 1.0), (0, 1, 1.0), (0, 6, 2 / 64), (1, 9, 22 / 1024)]
)
def test_the_exact_test_by_hand(first, second, p_value):
    assert mcnemar_exact(first, second) == pytest.approx(p_value)
    assert mcnemar_exact(second, first) == pytest.approx(p_value)


def test_json_does_not_depend_on_the_last_bits_of_a_sum():
    assert Interval(0.1 + 0.2, 0.0, 1.0).to_json() == {"value": 0.3, "low": 0.0, "high": 1.0}
