"""Tokens matched."""

import pytest

from texlens.metrics.cdm import cdm, matching

LONG = " + ".join(rf"\frac{{a_{{{n}}}}}{{x^{{{n}}}}}" for n in range(120))


@pytest.mark.parametrize(
    ("reference", "text", "matched", "of_reference", "of_text"),
    [
        ("x^2", "x ^ { 2 }", 2, 2, 2),
        ("x y", "x y z w", 2, 2, 4),
        ("S/V", "s/v", 1, 3, 3),
        (r"\frac{a}{b}", r"\frac{a}{c}", 2, 3, 3),
        (r"\frac{a}{b}", "{a \\over b}", 3, 3, 3),
        (r"\binom{n}{k}", r"\left(\begin{matrix} n \\ k \end{matrix}\right)", 4, 4, 4),
        ("x", "", 0, 1, 0),
        ("", "x", 0, 0, 1),
    ],
)
def test_matched_tokens_are_counted(reference, text, matched, of_reference, of_text):
    score = cdm(reference, text)
    assert (score.matched, score.reference_tokens, score.text_tokens) == (matched, of_reference, of_text)


def test_a_long_formula_that_goes_on_matches_whole():
    score = cdm(LONG, LONG + " + 1")
    assert score.recall == 1.0
    assert score.text_tokens == score.reference_tokens + 2


def test_a_matching_names_the_pairs():
    matched = matching("x+y", "x-y")
    assert matched.pairs == ((0, 0), (2, 2))


def test_a_shift_is_explained_and_so_is_a_part_that_moved():
    assert cdm("a+b+c+d+e+f", "1+a+b+c+d+e+f").recall == 1.0
    assert cdm("a+b+c+d+e+f", r"a+b\qquad\qquad +c+d+e+f").f1 == 1.0


def test_pictures_of_very_many_tokens_are_paired_in_order_and_give_a_reason():
    score = cdm("x" * 1100, "x" * 1000 + "y")
    assert "paired in their order" in score.problem
    assert score.f1 > 0.9
