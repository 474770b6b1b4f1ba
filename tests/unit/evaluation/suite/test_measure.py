"""Scores of a suite are those of the published rules, on predictions that are given."""

import pytest

from texlens.evaluation.suite.benchmarks import chosen
from texlens.evaluation.suite.find import Copy
from texlens.evaluation.suite.measure import scored
from texlens.metrics.prediction import Prediction


def result(name, pairs):
    predictions = [Prediction(str(number), *pair) for number, pair in enumerate(pairs)]
    return scored(Copy(chosen(name)[0], "data", "test"), predictions, None, seed=0)


def test_spelling_counts_by_the_published_rule_and_not_in_ours():
    measured = result("crohme-2014", [("x ^ { 2 }", "x ^ { 2 }"), ("x ^ { 2 }", "x^2"), ("a + b", "a - b")])
    assert measured.score.value == pytest.approx(1 / 3)
    assert measured.canonical.value == pytest.approx(2 / 3)


def test_unimer_is_scored_by_detection(monkeypatch):
    measured = result("unimer-spe", [("x ^ { 2 }", "x^2"), ("a + b", "a - b")])
    assert measured.to_json()["score"] == "cdm_f1"
    assert 0.5 < measured.score.value < 1


def test_json_says_which_rows_and_which_rule():
    value = result("mathwriting", [("x", "x")]).to_json()
    assert (value["rows"], value["rows_of_the_test_set"], value["value"]) == (1, 7644, 1.0)
    assert value["train_overlap"] is None
    assert "white space" in value["rule"]
