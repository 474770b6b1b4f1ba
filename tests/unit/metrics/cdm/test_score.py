"""CDM of pairs small enough to count by hand."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from texlens.core.errors import ConfigError
from texlens.metrics.cdm import RULES, cdm, matching, rules_named

REFERENCE = RULES["reference"]
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


@pytest.mark.parametrize(
    "formula",
    [r"50\% + x", r"a \lt b \gt c", r"\begin{matrix} a \\ b \end{matrix}", "a\n+ b", "[x]", "]", r"\left<x\right>"],
)
def test_a_formula_is_equal_to_itself_by_our_rules(formula):
    score = cdm(formula, formula.replace(" ", "  "))
    assert score.f1 == 1.0
    assert score.matched == score.reference_tokens > 0


@pytest.mark.parametrize(
    ("reference", "text", "f1"),
    [
        (r"\sqrt{n}y", r"\sqrt{ny}", 4 / 6),
        ("x^2", "x2", 2 / 4),
        ("a_i", "a^i", 2 / 4),
        (r"\frac{a}{b}c", r"\frac{a}{bc}", 6 / 8),
        (r"\hat{a}b", r"\hat{ab}", 4 / 6),
    ],
)
def test_structure_distinguishes_what_the_authors_program_does_not(reference, text, f1):
    assert cdm(reference, text).f1 == pytest.approx(f1)
    assert cdm(reference, text, REFERENCE).f1 == 1.0


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        (r"\sqrt{a+b}", "a+b"),
        (r"\frac{a}{b}+\frac{c}{d}", r"a+\frac{c}{d}"),
        (r"\overline{x+y}", "x+y"),
    ],
)
def test_what_stood_under_a_missing_container_is_no_further_error(reference, text):
    assert cdm(reference, text).precision == 1.0


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


def test_the_reference_has_its_faults():
    assert cdm("a < b", r"a \lt b", REFERENCE).recall == pytest.approx(2 / 3)
    assert cdm(r"5\%", "5", REFERENCE).f1 == 1.0
    assert cdm("[x]", r"(\n[x]".replace(r"\n", "\n"), REFERENCE).f1 == 1.0
    assert cdm("[ B ]", "[ 8 ]", REFERENCE).f1 == 0.5
    assert cdm(r"\ln x", "l n x", REFERENCE).matched == 1
    assert cdm(r"\log x", "l o g x", REFERENCE).matched == 4
    assert cdm(r"x \nonsense y", "x y", REFERENCE).f1 == 1.0
    assert cdm(r"\leftarrow", r"\rightarrow", REFERENCE).f1 == 1.0


def test_the_published_sets_differ_as_published():
    assert (REFERENCE.rounds, REFERENCE.samples, REFERENCE.residual_px, REFERENCE.trials) == (5, 2, 20, 50)
    older = rules_named("reference-2024")
    assert (older.rounds, older.samples, older.residual_px, older.trials) == (3, 3, 25, 50)


def test_unknown_rules_are_named():
    with pytest.raises(ConfigError, match="no rules of CDM are named 'strict'; choose one of default, reference"):
        rules_named("strict")


def test_a_matching_names_the_pairs():
    matched = matching("x+y", "x-y")
    assert matched.pairs == ((0, 0), (2, 2))


def test_a_shift_is_explained_and_so_is_a_part_that_moved():
    assert cdm("a+b+c+d+e+f", "1+a+b+c+d+e+f").recall == 1.0
    assert cdm("a+b+c+d+e+f", r"a+b\qquad\qquad +c+d+e+f").f1 == 1.0


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


@pytest.mark.parametrize("opening", [r"\sqrt{", r"\frac{a}{", r"\hat{"])
def test_many_tokens_in_many_containers_take_a_bounded_time_and_give_a_reason(opening):
    letters = " ".join("xyz"[index * index % 7 % 3] for index in range(700))
    reference, text = (opening * depth + letters + "}" * depth for depth in (120, 119))
    began = time.process_time()
    score = cdm(reference, text)
    assert time.process_time() - began < 10
    assert score.f1 > 0.5
    assert "only the innermost" in score.problem


def test_pictures_of_very_many_tokens_are_paired_in_order_and_give_a_reason():
    score = cdm("x" * 1100, "x" * 1000 + "y")
    assert "paired in their order" in score.problem
    assert score.f1 > 0.9
