"""Readable LaTeX: easier on the eye, the same picture."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from texlens.latex.canonical.readable import readable
from texlens.latex.canonical.same_picture import is_same_layout
from texlens.latex.generate.random_formulas import RandomFormulas
from texlens.latex.layout.formula import layout


def same_to_the_hair(first: str, second: str) -> bool:
    return is_same_layout(layout(first), layout(second), 1e-6, 1e-6)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r"\operatorname { s i n } ^ { 2 } x = \frac { 1 } { 2 }", r"\sin^2 x = \frac{1}{2}"),
        (r"\mathop { \mathrm { l i m } } _ { n \to \infty } a _ { n }", r"\lim_{n \to \infty}a_n"),
        (r"\operatorname { T r } A", r"\operatorname{Tr}A"),
        (r"x ^ { 2 } 3 + - b", r"x^2 3 + -b"),
        (r"a : = b , c", r"a := b, c"),
        (r"\alpha x \text { if  so }", r"\alpha x\text{ if  so }"),
        (r"\begin{array} { c c } a & b \\ c & d \end{array}", r"\begin{array}{cc}a & b \\ c & d\end{array}"),
        (r"e ^ { - x } \, y", r"e^{-x}\,y"),
        (r"  \frac { a }", r"\frac{a}"),
        ("", ""),
    ],
)
def test_it_is_written_as_people_write(written, read):
    assert readable(written) == read


def test_a_function_that_would_be_drawn_otherwise_stays_spelt_out():
    beside = r"\operatorname { m a x } _ { i } x"

    assert not same_to_the_hair(beside, r"\max_i x")
    assert readable(beside) == r"\operatorname{max}_i x"


@given(st.integers(0, 2**31))
def test_the_picture_stays_the_same_to_the_hair(seed):
    formula = RandomFormulas().sample(random.Random(seed), 5 + seed % 60)

    assert same_to_the_hair(formula, readable(formula))


@given(st.text(alphabet="ab12{}^_\\ &$%[]().,=+-~\n'", max_size=40))
def test_any_string_comes_back_and_reading_twice_changes_nothing(text):
    assert readable(readable(text)) == readable(text)
