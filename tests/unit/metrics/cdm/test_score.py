"""CDM of pairs small enough to count by hand."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from texlens.metrics.cdm import RULES, cdm


def test_the_text_that_cannot_be_drawn_scores_zero_and_says_why():
    score = cdm("x^2", "x^{2")
    assert (score.f1, score.precision, score.recall) == (0, 0, 0)
    assert "character" in score.problem


def test_of_a_reference_that_cannot_be_drawn_only_the_same_tokens_are_right():
    assert cdm(r"\nonsense x", r"\nonsense  x").f1 == 1.0
    assert cdm(r"\nonsense x", "x").f1 == 0.0
    assert cdm(r"\nonsense x", "x").problem.startswith("reference: unknown command")


def test_two_formulas_that_show_nothing_are_equal():
    assert cdm("", r"\quad").f1 == 1.0


def test_the_same_pair_scores_the_same_every_time():
    reference, text = r"\sum_{i=1}^{n} x_i y_i + z \cdot w", r"\sum_{i=0}^{n} y_i x_i z + \frac{w}{2}"
    values = {cdm(reference, text, rules).f1 for rules in RULES.values() for _ in range(3)}
    assert len(values) <= len(RULES)


def test_very_long_texts_are_bounded():
    start = time.process_time()
    score = cdm("x+" * 4000, "x+" * 3999 + "y+")
    assert time.process_time() - start < 60
    assert score.matched >= 7998


@settings(max_examples=150, deadline=5000)
@given(st.text(max_size=60), st.text(alphabet="xy^_{}\\frac1 sqrt&%[]()\0\u05d0\n", max_size=60))
def test_any_text_gets_a_score_and_a_reason(first, second):
    for reference, text in ((first, second), (second, first)):
        for rules in RULES.values():
            score = cdm(reference, text, rules)
            assert 0 <= score.f1 <= 1
            assert 0 <= score.precision <= 1
            assert 0 <= score.recall <= 1
            assert not (score.problem and score.matched and not score.problem.startswith("reference: "))


@pytest.mark.parametrize(
    "text", ["{" * 500_000, "x" * 1_000_000, "\\frac" * 200_000, "a^" * 400_000, "\0" * 1000, "א" * 50]
)
def test_hostile_texts_are_answered_soon(text):
    start = time.process_time()
    score = cdm("x^2", text)
    assert time.process_time() - start < 40
    assert score.f1 < 0.1
