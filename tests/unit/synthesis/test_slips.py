"""Deliberate slips: each kind changes one token, and both formulas parse."""

import random

import pytest

from texlens.latex.canonical.form import canonical
from texlens.latex.generate.random_formulas import RandomFormulas
from texlens.synthesis import RowRecipe, SampleGenerator
from texlens.synthesis.slips import KINDS, with_slip


@pytest.mark.parametrize(
    ("formula", "kind", "texts"),
    [
        ("x + y", "sign", {"x - y"}),
        ("( x", "bracket", {"x"}),
        ("2 x", "digit", {f"{digit} x" for digit in "013456789"}),
        ("x_i", "index", {f"x _ {{ {letter} }}" for letter in "abcdefghjklmnopqrstuvwxyz"}),
    ],
)
def test_a_slip_changes_the_one_place_that_there_is(formula, kind, texts):
    slip = with_slip(formula, random.Random(0))
    assert slip.kind == kind
    assert slip.corrected == canonical(formula).text
    assert slip.text in texts


def test_a_formula_without_a_place_or_that_does_not_parse_has_no_slip():
    assert with_slip(r"\alpha", random.Random(0)) is None
    assert with_slip(r"\frac{1", random.Random(0)) is None


def test_slips_of_generated_formulas_parse_and_differ_and_all_kinds_occur():
    formulas, rng = RandomFormulas(), random.Random(1)
    slips = [slip for _ in range(200) if (slip := with_slip(formulas.sample(rng, 25), rng))]
    assert {slip.kind for slip in slips} == set(KINDS)
    assert all(canonical(slip.text).problem is None and slip.text != slip.corrected for slip in slips)


def test_rows_with_slips_name_them_and_the_corrected_formula():
    row = SampleGenerator(RowRecipe("printed", seed=3, slips=True)).make(0)
    assert row.columns["slip"] in KINDS
    assert row.columns["corrected"] != row.label
    assert "slip" not in SampleGenerator(RowRecipe("printed", seed=3)).make(0).columns
