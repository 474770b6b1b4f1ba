"""Scores of the validation rows that are read during training."""

import pytest

from texlens.config.load import build_config
from texlens.core.errors import ConfigError
from texlens.metrics.prediction import Prediction
from texlens.training.validation import build_scorer, check_scores

PREDICTIONS = [Prediction("a", r"\frac12", r"\frac{1}{2}"), Prediction("b", "x", "y")]


def config(evaluate=None, **validation):
    values = {"model": {"path": "nano"}, "data": {"path": "demo"}, "train": {"validation": validation}}
    return build_config({**values, "evaluate": evaluate or {}})


def scorer_of(**validation):
    return build_scorer(config(**validation).train.validation)


def test_canonical_form_and_cdm_are_measured_by_default():
    assert scorer_of()(PREDICTIONS) == {"exact_match": 0.0, "exact_match_canonical": 0.5, "cdm_f1": 0.5}


def test_settings_choose_the_metrics():
    scorer = scorer_of(generation_rows=2, metrics=["within_1", "character_error_rate"], best_by="character_error_rate")
    assert scorer.names == ("within_1", "character_error_rate")
    assert scorer(PREDICTIONS)["within_1"] == 0.5
    assert scorer.lower_is_better == {"character_error_rate"}


def test_exact_match_ignores_spacing():
    scorer = scorer_of(metrics=["exact_match"])
    assert scorer([Prediction("a", "x^2", "x ^ 2"), Prediction("b", "x", "y")]) == {"exact_match": 0.5}


def test_score_that_is_not_measured_can_not_choose_the_best_checkpoint():
    with pytest.raises(ConfigError, match=r"train\.validation\.best_by: cdm_f is not measured; did you mean cdm_f1"):
        scorer_of(generation_rows=2, metrics=["cdm_f1"], best_by="cdm_f")


def test_unknown_metric_is_refused_with_the_nearest_name():
    message = r"train\.validation\.metrics: no metric is named 'cdm_f'; did you mean 'cdm_f1'"
    with pytest.raises(ConfigError, match=message):
        scorer_of(metrics=["cdm_f"])
    with pytest.raises(ConfigError, match=r"evaluate\.metrics: no metric is named 'cdm_f'"):
        check_scores(config(evaluate={"metrics": ["cdm_f"]}))
