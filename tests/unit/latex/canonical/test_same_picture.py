"""Formulas that look alike."""

import random

import pyarrow.parquet as parquet
import pytest

from texlens.latex.canonical import same_picture as pictures
from texlens.latex.canonical.form import canonical
from texlens.latex.canonical.picture_difference import ALIKE, difference
from texlens.latex.canonical.same_picture import is_same_picture, shown_letters
from texlens.latex.generate.random_formulas import RandomFormulas
from texlens.latex.layout.formula import layout
from texlens.latex.parse.tokens import tokenize


def test_other_scripts_order_is_the_same_picture():
    assert is_same_picture("x_a^b", "x^b_a")


@pytest.mark.parametrize(
    ("formula", "other"),
    [("x^2", "x_2"), (r"\sqrt{n}y", r"\sqrt{ny}"), ("a", r"\mathbf{a}"), ("ab", "ba"), ("a", "aa"), (r"\bar a", "a")],
)
def test_pictures_that_differ(formula, other):
    assert not is_same_picture(formula, other)


def test_what_cannot_be_drawn_looks_like_nothing():
    assert not is_same_picture(r"\foo", r"\foo")


@pytest.mark.parametrize("folder", ["LaTeX_OCR/full", "im2latex_sample"])
def test_real_formulas_look_like_their_canonical_forms(folder, shared_data):
    files = sorted((shared_data / folder).glob("test-*.parquet"))
    if not files:
        pytest.skip(f"{folder} is not here")
    formulas = parquet.read_table(files[0], columns=["text"]).column("text").to_pylist()
    forms = {formula: canonical(formula) for formula in formulas}
    drawn = {formula: form.text for formula, form in forms.items() if form.problem is None}
    assert len(drawn) >= 0.98 * len(forms)
    assert all(canonical(text).text == text for text in drawn.values())
    alike = [
        difference(layout(formula), layout(text)) in ALIKE for formula, text in drawn.items() if "array" not in formula
    ]
    assert sum(alike) >= 0.985 * len(alike)


@pytest.mark.parametrize(
    ("formula", "letters"),
    [
        (r"\frac { b } { a } \sin 2", list("2abins")),
        (r"\phantom { x }", None),
        (r"\hspace {9em} x", None),
        (r"\mathfrak { R }", None),
    ],
)
def test_letters_are_counted_only_where_the_tokens_show_them(formula, letters):
    assert shown_letters(tokenize(formula)) == letters


def test_unlike_letters_are_unlike_pictures_and_the_layout_says_so_too(monkeypatch):
    draw, formulas = random.Random(3), RandomFormulas()
    pairs = [(formula, formula.replace("a", "b", 1)) for formula in (formulas.sample(draw, 20) for _ in range(150))]
    quick = [is_same_picture(*pair) for pair in pairs]
    monkeypatch.setattr(pictures, "shown_letters", lambda tokens: None)
    assert quick == [is_same_picture(*pair) for pair in pairs]
