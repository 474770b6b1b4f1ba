"""Each score on rows small enough to check by hand."""

import numpy as np
import pytest

from texlens.core.errors import ConfigError
from texlens.metrics.prediction import Prediction
from texlens.metrics.registry import METRICS, Metric, chosen_metrics, metric_named
from texlens.metrics.scored_prediction import ScoredPrediction


def value(name, reference, text, stop="end"):
    metric = metric_named(name)
    return metric.statistics(ScoredPrediction.of(Prediction("a", reference, text, stop=stop)))[0]


def test_the_names_are_those_that_json_promises():
    assert [metric.name for metric in METRICS] == [
        "exact_match", "within_1", "within_2", "edit_similarity", "bleu4", "rouge_l", "length_limit", "repetition",
        "exact_match_raw", "exact_match_canonical", "exact_match_spaceless", "exact_match_picture", "within_3",
        "character_error_rate", "valid",
        "cdm_precision", "cdm_recall", "cdm_f1", "cdm_exact",
    ]  # fmt: skip


def test_every_score_has_a_title_a_one_line_definition_and_a_unit():
    for metric in METRICS:
        assert metric.title
        assert metric.unit == ("rate" if metric.name == "character_error_rate" else "share")
        assert metric.definition.endswith(".")
        assert "\n" not in metric.definition


def test_only_faults_are_better_when_lower():
    lower = [metric.name for metric in METRICS if metric.direction == "lower"]
    assert lower == ["length_limit", "repetition", "character_error_rate"]


def test_spacing_does_not_matter_to_exact_match():
    assert value("exact_match", "x ^ { 2 }", "x^{2}") == 1
    assert value("exact_match", "x ^ { 2 }", "x^2") == 0


@pytest.mark.parametrize(
    ("text", "within_1", "within_2"), [("x+y", 1, 1), ("x-y", 1, 1), ("x-z", 0, 1), ("x+y+z", 0, 1), ("", 0, 0)]
)
def test_within_counts_token_edits(text, within_1, within_2):
    assert (value("within_1", "x+y", text), value("within_2", "x+y", text)) == (within_1, within_2)


def test_a_command_is_one_token():
    assert value("edit_similarity", r"\alpha+\beta", r"\alpha+\gamma") == pytest.approx(2 / 3)


def test_edit_similarity_divides_by_the_longer_side():
    assert value("edit_similarity", "x", "xyzw") == pytest.approx(1 / 4)
    assert value("edit_similarity", "xyzw", "") == 0


def test_length_limit_is_the_stop_reason():
    assert value("length_limit", "x", "x", stop="length") == 1
    assert value("length_limit", "x", "x") == 0


def test_a_failed_row_scores_zero_everywhere_even_if_it_carries_the_reference():
    for metric in METRICS:
        if isinstance(metric, Metric):
            assert value(metric.name, "a" * 20, "a" * 20, stop="failed") == 0
    matched = metric_named("bleu4").statistics(ScoredPrediction.of(Prediction("a", "xyz", "xyz", stop="failed")))
    assert matched == (0, 3, 0, 0, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("text", "raw", "spaced", "canonical", "picture"),
    [
        ("x ^ { 2 }", 1, 1, 1, 1),
        ("x^{2}", 0, 1, 1, 1),
        ("x^2", 0, 0, 1, 1),
        ("x^3", 0, 0, 0, 0),
        ("x^{2", 0, 0, 0, 0),
    ],
)
def test_each_exact_match_forgives_more(text, raw, spaced, canonical, picture):
    names = ("exact_match_raw", "exact_match", "exact_match_canonical", "exact_match_picture")
    assert [value(name, "x ^ { 2 }", text) for name in names] == [raw, spaced, canonical, picture]


def test_within_3_counts_three():
    assert value("within_3", "a b c d", "a") == 1
    assert value("within_3", "a b c d", "") == 0


def test_the_character_error_rate_divides_character_edits_by_characters():
    metric = metric_named("character_error_rate")
    readings = [ScoredPrediction.of(Prediction(text, r"\alpha x", text)) for text in (r"\beta x", r"\alpha x")]
    sums = np.array([metric.statistics(reading) for reading in readings]).sum(axis=0)
    assert list(sums) == [4, 14]
    assert metric.value(sums, 2) == pytest.approx(4 / 14)


def test_the_character_error_rate_of_empty_references_is_zero():
    assert metric_named("character_error_rate").value(np.zeros(2), 1) == 0


@pytest.mark.parametrize(("text", "valid"), [("x^2", 1), ("x^{2", 0), (r"\nonsense x", 0), ("", 0), ("  ", 0)])
def test_valid_means_that_something_can_be_drawn(text, valid):
    assert value("valid", "x", text) == valid


def test_cdm_has_precision_recall_and_f1():
    assert [value(f"cdm_{name}", "x y", "x y z w") for name in ("precision", "recall", "f1", "exact")] == [
        0.5, 1.0, pytest.approx(2 / 3), 0,
    ]  # fmt: skip


def test_metrics_are_chosen_by_name_in_the_order_of_the_registry():
    assert [metric.name for metric in chosen_metrics("cdm_f1, exact_match")] == ["exact_match", "cdm_f1"]
    assert chosen_metrics("all") == METRICS


def test_an_unknown_metric_is_named():
    with pytest.raises(ConfigError, match="no metric is named 'accuracy'; choose from all, formulas, captions"):
        chosen_metrics(["accuracy"])


def test_the_old_name_of_a_metric_works_with_one_line(capsys):
    (metric,) = chosen_metrics("loops")
    assert metric.name == "repetition"
    assert chosen_metrics(["loops"]) == (metric,)
    assert capsys.readouterr().err.count("loops is the old name of repetition") == 1
