"""Accents."""

from tests.unit.latex.layout.drawing import EM, glyphs
from texlens.latex.layout.boxes import glyph_box
from texlens.latex.layout.formula import layout


def test_an_accent_sits_over_the_middle_of_a_wide_letter():
    placed = glyphs(r"\hat{M}")
    left, _, right, _ = glyph_box(placed["\\hat"])
    assert placed["M"].x + 0.3 < (left + right) / 2 < placed["M"].x + 0.8
    assert layout(r"\widehat{abc}").width == EM(layout("abc").width)
