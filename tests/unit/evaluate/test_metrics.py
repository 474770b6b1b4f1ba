"""Each score on rows small enough to check by hand."""

import pytest

from texlens.core.prediction import Prediction
from texlens.evaluate.metrics import METRICS, Metric, Reading, metric_named


def value(name, truth, text, stop="end"):
    metric = metric_named(name)
    return metric.statistics(Reading.of(Prediction("a", truth, text, stop=stop)))[0]


def test_the_names_are_those_that_json_promises():
    assert [metric.name for metric in METRICS] == [
        "exact_match", "within_1", "within_2", "edit_similarity", "bleu4", "rouge_l", "length_limit", "loops",
    ]  # fmt: skip


def test_every_score_has_a_title_a_one_line_definition_and_a_unit():
    for metric in METRICS:
        assert metric.title
        assert metric.unit == "share"
        assert metric.definition.endswith(".")
        assert "\n" not in metric.definition


def test_only_faults_are_better_when_lower():
    assert [metric.name for metric in METRICS if metric.direction == "lower"] == ["length_limit", "loops"]


def test_spacing_does_not_matter_to_exact_match():
    assert value("exact_match", "x ^ { 2 }", "x^{2}") == 1
    assert value("exact_match", "x ^ { 2 }", "x^2") == 0


@pytest.mark.parametrize(
    ("text", "one", "two"), [("x+y", 1, 1), ("x-y", 1, 1), ("x-z", 0, 1), ("x+y+z", 0, 1), ("", 0, 0)]
)
def test_within_counts_token_edits(text, one, two):
    assert (value("within_1", "x+y", text), value("within_2", "x+y", text)) == (one, two)


def test_a_command_is_one_token():
    assert value("edit_similarity", r"\alpha+\beta", r"\alpha+\gamma") == pytest.approx(2 / 3)


def test_edit_similarity_divides_by_the_longer_side():
    assert value("edit_similarity", "x", "xyzw") == pytest.approx(1 / 4)
    assert value("edit_similarity", "xyzw", "") == 0


def test_length_limit_is_the_stop_reason():
    assert value("length_limit", "x", "x", stop="length") == 1
    assert value("length_limit", "x", "x") == 0


def test_a_failed_row_scores_zero_everywhere_even_if_it_carries_the_truth():
    for metric in METRICS:
        if isinstance(metric, Metric):
            assert value(metric.name, "a" * 20, "a" * 20, stop="failed") == 0
    matched = metric_named("bleu4").statistics(Reading.of(Prediction("a", "xyz", "xyz", stop="failed")))
    assert matched == (0, 3, 0, 0, 0, 0, 0, 0, 0, 0)
