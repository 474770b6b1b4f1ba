"""What makes a reading doubtful."""

import math

import pytest

from texlens.workflows.learn.doubt import doubt_of, likeness
from texlens.workflows.learn.reading import ImageReading


def reading(text="x^2", **other):
    return ImageReading("k", text, **{"log_probability": math.log(0.8), **other})


def test_without_anything_else_doubt_is_what_is_missing_to_the_models_own_probability():
    assert doubt_of(reading()).value == pytest.approx(0.2, abs=1e-5)
    assert doubt_of(reading(confidence=0.6)).value == pytest.approx(0.4)


def test_views_and_models_that_differ_add_doubt():
    doubt = doubt_of(reading("a+b", confidence=1.0, other_view="a-b"))
    assert (doubt.views, doubt.value) == (0.6667, pytest.approx(1 / 3, abs=1e-3))
    both = doubt_of(reading("a+b", confidence=1.0, other_view="a-b"), ImageReading("k", "a+c"))
    assert both.value == pytest.approx(1 - 4 / 9, abs=1e-3)


def test_views_that_spell_one_formula_in_two_ways_agree():
    assert doubt_of(reading("x^2", confidence=1.0, other_view="x^{2}")).value == 0


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        ({"problem": "no }"}, "no }"),
        ({"stop": "length"}, "cut at the token limit"),
        ({"stop": "loop"}, "repeats itself"),
        ({"error": "damaged"}, "damaged"),
    ],
)
def test_no_formula_is_as_doubtful_as_can_be(other, problem):
    doubt = doubt_of(reading(confidence=0.99, **other))
    assert (doubt.value, doubt.problem) == (1.0, problem)


def test_likeness_is_one_less_edits_over_tokens():
    assert likeness("a+b", "a+b") == 1.0
    assert likeness("a+b", "a-b") == pytest.approx(2 / 3)
    assert likeness("a", r"\frac{b}{c}") == 0.0
