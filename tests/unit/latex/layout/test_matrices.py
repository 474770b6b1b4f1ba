"""Matrices and aligned equations."""

import pytest

from tests.unit.latex.layout.drawing import EM
from texlens.latex.layout.formula import layout


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


def heights(formula):
    return {glyph.source: glyph.y for glyph in layout(formula).glyphs}


@pytest.mark.parametrize(
    ("formula", "gap_em"),
    [
        (r"\begin{aligned}a\\%s b\end{aligned}", 1.0),
        (r"\begin{gathered}a\\%s b\end{gathered}", 1.0),
        (r"\begin{array}{c}a\\%s b\end{array}", 1.0),
        (r"\begin{pmatrix}a\\%s b\end{pmatrix}", 1.0),
        (r"a\\%s b", 1.0),
    ],
)
def test_length_after_a_line_end_moves_the_next_row_down(formula, gap_em):
    plain, moved = heights(formula % ""), heights(formula % "[1em]")
    assert (moved["a"] - moved["b"]) - (plain["a"] - plain["b"]) == EM(gap_em)


def test_length_in_a_table_counts_from_the_strut_and_not_from_deep_ink():
    deep = r"\begin{array}{c}a\rule[-2em]{1em}{3em}\\%s b\end{array}"
    assert heights(deep % "[1em]")["b"] == EM(heights(deep % "")["b"])


def test_negative_length_moves_the_next_row_up():
    formula = r"\begin{array}{c}a\\%s b\end{array}"
    plain, moved = heights(formula % ""), heights(formula % "[-0.5em]")
    assert (moved["a"] - moved["b"]) - (plain["a"] - plain["b"]) == EM(-0.5)


def test_second_rule_takes_space_of_its_own():
    plain = heights(r"\begin{array}{c}a\\\hline b\end{array}")
    double = heights(r"\begin{array}{c}a\\\hline\hline b\end{array}")
    assert (double["a"] - double["b"]) - (plain["a"] - plain["b"]) == EM(0.24)
