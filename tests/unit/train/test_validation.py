"""Scores of the rows that are read while training."""

import pytest

from texlens.cli.training.train import watch_scorer
from texlens.config.load import build_config
from texlens.core.errors import ConfigError
from texlens.metrics.prediction import Prediction
from texlens.train.validation import EXACT_MATCH


def config(**watch):
    return build_config({"model": {"path": "nano"}, "data": {"path": "demo"}, "train": {"watch": watch}})


READ = [Prediction("a", r"\frac12", r"\frac{1}{2}"), Prediction("b", "x", "y")]


def test_canonical_form_and_cdm_are_watched_by_default():
    assert watch_scorer(config())(READ) == {"exact_match": 0.0, "exact_match_canonical": 0.5, "cdm_f1": 0.5}


def test_the_settings_choose_what_is_watched():
    scorer = watch_scorer(config(sample_rows=2, metrics=["within_1", "loops"], best_by="loops"))
    assert scorer(READ) == {"within_1": 0.5, "loops": 0.0}
    assert scorer.lower_is_better == {"loops"}


def test_without_a_scorer_exact_match_is_measured():
    assert EXACT_MATCH([Prediction("a", "x^2", "x ^ 2"), Prediction("b", "x", "y")]) == {"exact_match": 0.5}


def test_a_score_that_is_not_watched_picks_no_checkpoint():
    with pytest.raises(ConfigError, match=r"train\.watch\.best_by: cdm_f is not measured; did you mean cdm_f1"):
        watch_scorer(config(sample_rows=2, metrics=["cdm_f1"], best_by="cdm_f"))


def test_a_name_that_no_score_has_is_told_with_the_nearest():
    with pytest.raises(ConfigError, match=r"train\.watch\.metrics: no metric is named 'cdm_f'; did you mean 'cdm_f1'"):
        watch_scorer(config(metrics=["cdm_f"]))
