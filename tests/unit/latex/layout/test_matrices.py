"""Matrices and aligned equations."""

import pytest

from texlens.latex.layout.formula import layout

EM = pytest.approx


def test_columns_of_a_matrix_are_aligned():
    placed = layout(r"\begin{array}{lr} aaa & b \\ c & ddd \end{array}").glyphs
    first = [glyph.x for glyph in placed if glyph.source in "ac"]
    assert min(first) == placed[0].x == next(glyph.x for glyph in placed if glyph.source == "c")
    a = next(glyph.y for glyph in placed if glyph.source == "a")
    c = next(glyph.y for glyph in placed if glyph.source == "c")
    assert a - c == EM(1.2)


def test_columns_of_aligned_equations_meet_at_the_sign():
    signs = [glyph.x for glyph in layout(r"\begin{aligned}a&=b\\aaa&=c\end{aligned}").glyphs if glyph.source == "="]
    assert signs[0] == signs[1]
