"""Dots beside operators."""

import pytest

from tests.unit.latex.canonical.forms import form
from texlens.latex.canonical.form import canonical
from texlens.latex.layout.formula import layout

# What TeX Live 2022 with amsmath draws.
_AFTER = ("+ b", r"\times b", r"\int x", r"\sum x", r"\not= b", r"\iff b", r"\mid b")
CENTERED = tuple(rf"\dots {after}" for after in _AFTER)
LOW = (
    *(r"\dots", r"\dots )", r"\dots , b", r"\dots { = } b", r"\dots \, + b", r"\dots \ne b", r"\dots x"),
    *(r"\dots \mathrel { x }", r"\dots \left( x \right)", r"\dots \xrightarrow { x }", r"\dots ^ { 2 } + b"),
    r"\begin{matrix} \dots & = b \end{matrix}",
)


@pytest.mark.parametrize(
    ("formula", "dot"), [*((command, "⋅") for command in CENTERED), *((command, ".") for command in LOW)]
)
def test_dots_are_drawn_as_amsmath_draws_them_in_a_formula_and_in_its_form(formula, dot):
    for source in (formula, canonical(formula).text):
        assert "".join(glyph.character for glyph in layout(source).glyphs if glyph.character in ".⋅") == dot * 3


def test_dots_are_centered_before_an_operator():
    assert form(r"a + \dots + b, \dots, c") == r"a + \cdots + b , \ldots , c"
