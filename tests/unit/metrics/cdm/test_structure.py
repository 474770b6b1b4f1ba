"""Structure."""

import time

import pytest

from texlens.metrics.cdm import RULES, cdm

REFERENCE = RULES["reference"]


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


@pytest.mark.parametrize("opening", [r"\sqrt{", r"\frac{a}{", r"\hat{"])
def test_many_tokens_in_many_containers_take_a_bounded_time_and_give_a_reason(opening):
    letters = " ".join("xyz"[index * index % 7 % 3] for index in range(700))
    reference, text = (opening * depth + letters + "}" * depth for depth in (120, 119))
    began = time.process_time()
    score = cdm(reference, text)
    assert time.process_time() - began < 10
    assert score.f1 > 0.5
    assert "only the innermost" in score.problem
