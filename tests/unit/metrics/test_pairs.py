"""Any program's predictions, from lists in Python."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import texlens.evaluation
from texlens.core.errors import ConfigError, DataError
from texlens.metrics.pairs import score_pairs, score_predictions
from texlens.metrics.prediction import Prediction
from texlens.metrics.registry import METRICS
from texlens.metrics.scored_prediction import ScoredPrediction


def test_two_lists_are_enough():
    output = texlens.evaluation.score(["x^2", "y"], ["x^{2}", "z"])
    assert output["rows"] == 2
    assert output["scores"]["exact_match_canonical"]["value"] == 0.5
    assert output["scores"]["cdm_f1"]["value"] == 0.5
    assert output["cdm"] == "default"


def test_a_missing_prediction_scores_zero_and_is_counted():
    output = texlens.evaluation.score(["x", "y"], ["x", None])
    assert (output["failed"], output["scores"]["cdm_f1"]["value"], output["scores"]["valid"]["value"]) == (1, 0.5, 0.5)


def test_lists_of_different_lengths_are_reported():
    with pytest.raises(DataError, match="2 references but 1 predictions"):
        texlens.evaluation.score(["x", "y"], ["x"])


def test_definitions_stand_with_the_numbers():
    output = texlens.evaluation.score(["x"], ["x"])
    assert "nrefs:1|case:mixed|eff:no|tok:none|smooth:exp" in output["definitions"]["bleu4"]


def test_metrics_can_be_chosen():
    output = texlens.evaluation.score(["x"], ["x"], metrics="cdm_f1,bleu4")
    assert list(output["scores"]) == ["bleu4", "cdm_f1"]


def test_rules_of_cdm_can_be_chosen():
    values = [texlens.evaluation.score(["a<b"], [r"a\lt b"], cdm=name)["scores"]["cdm_f1"]["value"] for name in
              ("default", "reference", "reference-2024")]  # fmt: skip
    assert values == [1.0, 0.8, 0.8]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"metrics": "accuracy"}, "no metric is named 'accuracy'"),
        ({"cdm": "strict"}, "no rules of CDM are named 'strict'"),
        ({"preset": "nobody"}, "no preset is named 'nobody'; choose from uni-mumer"),
        ({"preset": "uni-mumer", "metrics": "bleu4"}, "preset uni-mumer has its own metrics"),
    ],
)
def test_what_is_not_known_is_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        score_pairs(["x"], ["x"], **settings)


@settings(max_examples=100, deadline=5000)
@given(st.text(max_size=40), st.text(alphabet="xy^_{}\\frac1 sqrt&%[]()\0\u05d0\u202e\n", max_size=60))
def test_any_text_gets_every_score(reference, text):
    for first, second in ((reference, text), (text, reference)):
        reading = ScoredPrediction.of(Prediction("row", first, second))
        for metric in METRICS:
            assert all(math.isfinite(value) and value >= 0 for value in metric.statistics(reading))


def test_score_accepts_the_old_keyword_truths_with_a_warning():
    from texlens.evaluation import score

    with pytest.warns(DeprecationWarning, match="references="):
        scores = score(truths=["x"], predictions=["x"], metrics="exact_match")
    assert scores["scores"]["exact_match"]["value"] == 1.0


def test_code_fences_and_prose_are_removed_and_counted():
    scored = score_pairs(["x^2", "a", "y"], ["```latex\nx^2\n```", "$$a$$", "y"])
    assert scored.scores.values["exact_match"].value == 1.0
    assert scored.scores.to_json()["cleaned"] == 2
    assert [row.removed for row in scored.table.rows] == [("code fence",), ("math delimiters",), ()]


def test_without_cleaning_a_fenced_prediction_is_wrong_and_invalid():
    scored = score_pairs(["x^2"], ["```latex\nx^2\n```"], metrics="exact_match,valid", clean=False)
    assert scored.scores.values["exact_match"].value == 0.0
    assert scored.scores.values["valid"].value == 0.0


def test_labels_with_math_delimiters_match_predictions_with_and_without():
    scored = score_pairs(["$x^2$", "$x^2$"], ["$x^2$", "x^2"], metrics="exact_match,exact_match_raw")
    assert scored.scores.values["exact_match"].value == scored.scores.values["exact_match_raw"].value == 1.0


def test_spaceless_match_forgives_spaces_and_fence_sizes():
    scored = score_pairs([r"\left( x \quad y \right)"], ["(xy)"], metrics="exact_match_canonical,exact_match_spaceless")
    assert scored.scores.values["exact_match_canonical"].value == 0.0
    assert scored.scores.values["exact_match_spaceless"].value == 1.0


def test_error_preservation_counts_kept_slips_among_kept_and_corrected_ones():
    rows = [
        Prediction("kept", "x - y", "x - y", corrected="x + y"),
        Prediction("corrected", "x - y", "x + y", corrected="x + y"),
        Prediction("kept elsewhere wrong", "x - y + 1", "x - y + 2", corrected="x + y + 1"),
        Prediction("neither", "x - y", "x = y", corrected="x + y"),
        Prediction("no slip", "a", "a"),
    ]
    scored = score_predictions(rows, metrics="error_preservation")
    assert scored.scores.values["error_preservation"].value == pytest.approx(2 / 3)
    assert [row.slip_kept for row in scored.table.rows] == [False, True, True, None, None]
