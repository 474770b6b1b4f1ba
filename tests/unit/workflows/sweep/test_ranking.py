"""Trials ranked by a score of the rows that are read."""

import numpy as np
import pytest

from tests.unit.workflows.sweep.test_evidence import measured
from texlens.config.load import build_config
from texlens.core.errors import ConfigError
from texlens.metrics.prediction import Prediction
from texlens.metrics.statistics import Interval
from texlens.workflows.sweep.evidence import ValidationResult
from texlens.workflows.sweep.ranking import LOSS, Ranking, ranking_named, settings_for
from texlens.workflows.sweep.stopping import StopRule


def predictions(*texts: str) -> list[Prediction]:
    return [Prediction(str(number), "x ^ 2", text) for number, text in enumerate(texts)]


def read(right: int, rows: int = 40) -> ValidationResult:
    """A measurement of exact match with so many rows right."""
    texts = ["x ^ 2"] * right + ["y"] * (rows - right)
    rows_read = [Prediction(f"{number:03}", "x ^ 2", text) for number, text in enumerate(texts)]
    return ValidationResult(10, 0.5, ranking_named("exact_match").units((), rows_read))


def test_the_cost_of_a_score_is_what_is_missing_to_one():
    ranking = ranking_named("exact_match")
    assert ranking.units(((9.0, 3),), predictions("x ^ 2", "y", "x^2")) == ((0.0, 1), (1.0, 1), (0.0, 1))
    assert ranking.shown(1 / 3) == pytest.approx(2 / 3)
    assert ranking.shown_interval(Interval(0.25, 0.125, 0.5)) == Interval(0.75, 0.5, 0.875)


def test_a_rate_keeps_its_lengths_and_is_lower_where_better():
    ranking = ranking_named("character_error_rate")
    assert ranking.units((), predictions("x ^ 3", "x ^ 2")) == ((1.0, 3), (0.0, 3))
    assert (ranking.is_score, ranking.shown(0.1)) == (False, 0.1)


def test_the_loss_is_taken_as_it_is():
    assert Ranking().units(((9.0, 3),), ()) == ((9.0, 3),)
    assert (ranking_named(LOSS), Ranking().title) == (Ranking(), "Validation loss")


def test_a_trial_that_surely_reads_fewer_rows_right_ends_whatever_its_loss():
    rule = StopRule(comparisons=20)
    assert rule.judge(read(10), {1: [read(36)]}).surely_worse_by > 0
    assert rule.judge(read(34), {1: [read(36)]}) is None
    assert rule.judge(read(36), {1: [read(10)]}) is None
    assert rule.judge(measured(0.0), {1: [read(36)]}) is None, "a loss and a score are not compared"


def test_trials_that_read_alike_rarely_end():
    """60 sweeps of 5 trials that are right on 60% of 60 rows, by chance: at most LEVEL of them end one."""
    ended = 0
    rule = StopRule(comparisons=10)
    for seed in range(60):
        wrong_T60 = np.random.default_rng(seed).random((5, 60)) < 0.4
        trials = [ValidationResult(10, 0.5, tuple((float(cost), 1) for cost in row)) for row in wrong_T60]
        ended += any(rule.judge(trials[n], {k: [trials[k]] for k in range(n)}) for n in range(1, 5))
    assert ended <= 60 * 0.05 + 4


@pytest.mark.parametrize(
    ("name", "message"),
    [("bleu4", "no mean over rows"), ("formulas", "no mean over rows"), ("exact_mach", "did you mean 'exact_match'")],
)
def test_scores_that_can_not_be_judged_by_are_refused_by_name(name, message):
    with pytest.raises(ConfigError, match=f"--by.*{message}"):
        ranking_named(name)


def test_the_run_measures_what_trials_are_ranked_by():
    values = {"model": {"path": "nano"}, "data": {"path": "d"}, "train": {"steps": 4}}
    config = build_config(values)
    assert settings_for(config, "character_error_rate") == [
        "train.validation.generation_rows=200",
        "train.validation.metrics=[character_error_rate, exact_match, exact_match_canonical, cdm_f1]",
        "train.validation.best_by=character_error_rate",
    ]
    changed = build_config(values, overrides=settings_for(config, "character_error_rate"))
    assert changed.train.validation.best_by == "character_error_rate"
    assert settings_for(changed, LOSS) == ["train.validation.best_by=validation_loss"]
