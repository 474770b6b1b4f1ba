"""Totals with intervals: right on small sets, the same in any order, and fast."""

import time

import numpy as np
import pytest
from sacrebleu.metrics import BLEU

from texlens.core.errors import DataError
from texlens.metrics.prediction import Prediction
from texlens.metrics.scores import score, score_rows

ROWS = [
    Prediction("a", "x + y", "x+y"),
    Prediction("b", "x + y", "x-y"),
    Prediction("c", "x + y", "", stop="failed", error="c.png: damaged"),
    Prediction("d", "x + y", "a" * 40, stop="length"),
]


def formulas(rows, tokens=40, wrong=0.05, seed=0):
    draw = np.random.default_rng(seed)
    words = np.array(["x", "y", "\\alpha", "^", "_", "{", "}", "+", "=", "\\frac", "1", "2"])
    references = draw.integers(0, len(words), (rows, tokens))
    texts = np.where(draw.random((rows, tokens)) < wrong, draw.integers(0, len(words), (rows, tokens)), references)
    return [
        Prediction(f"row-{row:05}", " ".join(words[references[row]]), " ".join(words[texts[row]]))
        for row in range(rows)
    ]


def test_a_failed_row_counts_and_scores_zero():
    scores = score(ROWS)
    assert (scores.rows, scores.failed) == (4, 1)
    assert scores.values["exact_match"].value == 0.25
    assert scores.values["within_1"].value == 0.5
    assert scores.values["edit_similarity"].value == pytest.approx((1 + 2 / 3 + 0 + 0) / 4)
    assert scores.values["length_limit"].value == 0.25
    assert scores.values["repetition"].value == 0.25


def test_json_has_the_promised_form():
    output = score(ROWS).to_json()
    assert output["rows"] == 4
    assert set(output["scores"]) == {
        "exact_match", "within_1", "within_2", "edit_similarity", "bleu4", "rouge_l", "length_limit", "repetition",
        "exact_match_raw", "exact_match_canonical", "exact_match_spaceless", "exact_match_picture", "within_3",
        "character_error_rate", "valid",
        "cdm_precision", "cdm_recall", "cdm_f1", "cdm_exact",
    }  # fmt: skip
    assert output["scores"].pop("character_error_rate")["value"] == pytest.approx((0 + 1 + 3 + 40) / 12)
    for interval in output["scores"].values():
        assert list(interval) == ["value", "low", "high"]
        assert 0 <= interval["low"] <= interval["value"] <= interval["high"] <= 1


def test_a_reference_that_cannot_be_drawn_is_listed():
    output = score(
        [Prediction("a", "x^{2", "x^2"), Prediction("b", "x^{2", "x ^ { 2"), Prediction("c", "x", "x")]
    ).to_json()
    assert list(output["undrawn_references"]) == ["a", "b"]
    assert "character" in output["undrawn_references"]["a"]
    assert output["scores"]["cdm_f1"]["value"] == pytest.approx(2 / 3)


def test_the_order_of_rows_changes_nothing():
    rows = formulas(50)
    assert score(rows).to_json() == score(rows[::-1]).to_json()


def test_bleu_of_the_whole_set_is_sacrebleus():
    rows = formulas(30, wrong=0.3)
    theirs = BLEU(tokenize="none").corpus_score([row.text for row in rows], [[row.reference for row in rows]])
    assert score(rows).values["bleu4"].value == pytest.approx(theirs.score / 100)


def test_rows_come_back_in_the_order_given():
    rows = score_rows(ROWS[::-1])
    assert [row.id for row in rows] == ["d", "c", "b", "a"]
    assert [row.edits for row in rows] == [40, 3, 1, 0]
    assert [row.exact for row in rows] == [False, False, False, True]
    assert "bleu4" not in rows[0].values


def test_one_row_is_enough():
    assert score(ROWS[:1]).to_json()["scores"]["exact_match"] == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_no_rows_is_an_error_with_a_remedy():
    with pytest.raises(DataError, match="no predictions to score; evaluate a split that has rows"):
        score([])


def test_an_id_that_stands_twice_is_named():
    with pytest.raises(DataError, match="row 'a' more than once"):
        score([*ROWS, ROWS[0]])


def test_a_thousand_rows_take_seconds():
    rows = formulas(1000, tokens=60)
    start = time.process_time()
    score(rows)
    assert time.process_time() - start < 20
