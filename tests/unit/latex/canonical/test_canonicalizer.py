"""The canonicalizer: random and hostile formulas."""

import random
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from texlens.latex.canonical import form as module
from texlens.latex.canonical.form import canonical, canonical_form
from texlens.latex.canonical.picture_difference import ALIKE, difference
from texlens.latex.generate.random_formulas import RandomFormulas
from texlens.latex.layout.formula import layout


def test_a_long_formula_is_not_kept():
    module._cached_form.cache_clear()
    canonical("x" * (module.LONGEST_KEPT + 1))
    canonical("x")
    assert module._cached_form.cache_info().currsize == 1


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_random_formulas_have_a_form_that_is_its_own_form_and_draws_alike(seed, tokens):
    formula = RandomFormulas().sample(random.Random(seed), tokens)
    result = canonical_form(formula)
    assert result.problem is None
    assert canonical_form(result.text) == result
    kind = difference(layout(formula), layout(result.text))
    assert kind in ALIKE or "array" in formula


_PIECES = [
    *"ab1+=(),|-{}^_'&",
    "\\\\",
    "\\left(",
    "\\right)",
    "\\frac",
    "\\over",
    "\\sqrt",
    "\\mathrm",
    "\\bf",
    "\\sum",
    "\\limits",
    "\\text{a $b$}",
    "\\begin{pmatrix}",
    "\\end{pmatrix}",
    "\\operatorname",
    "\\not",
    "\\,",
    "\\dots",
]


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=40), st.lists(st.sampled_from(_PIECES), max_size=14).map(" ".join)))
@example("\0")
@example("‮שלום")
@example("")
@example("\\")
def test_nothing_raises(formula):
    result = canonical_form(formula)
    if result.problem is None:
        assert canonical_form(result.text).problem is None


@pytest.mark.parametrize(
    "formula",
    [
        "{}" * 9900,
        r"{\scriptstyle a}" * 4900,
        r"\left(" * 140 + r"\frac12" + r"\right)^2" * 140,
        r"\text{$" * 70 + "x" + "$}" * 70,
        r"\begin{array}{c}" + "&" * 9000 + r"\end{array}",
        "x" * 1_000_000,
    ],
)
def test_hostile_formulas_take_a_bounded_time(formula):
    start = time.process_time()
    canonical_form(formula)
    assert time.process_time() - start < 10
