"""Facts of layout that TeX guarantees."""

import pytest

from texlens.latex.layout.fonts import FONT_NAMES
from texlens.latex.layout.formula import layout


def test_spaces_in_the_source_change_nothing():
    assert layout("a b") == layout("ab")


def test_the_same_formula_gives_the_same_layout():
    formula = r"\sum_{i=1}^n \frac{\sqrt{x_i}}{2} \left( a \right)"
    assert layout(formula) == layout(formula)


def test_alphabets():
    assert [
        glyph.character for glyph in layout(r"\mathbf{A}\mathcal{B}\mathbb{R}\mathrm{d}x\alpha\Gamma2").glyphs
    ] == list("𝐀ℬℝd𝑥𝛼Γ2")
    assert [glyph.character for glyph in layout(r"{\bf A}A\boldsymbol{\alpha x}").glyphs] == list("𝐀𝐴𝜶𝒙")


@pytest.mark.parametrize("font", FONT_NAMES)
def test_every_font_sets_a_hard_formula(font):
    placed = layout(r"\left\{\sum_{i=1}^{n}\sqrt[3]{\frac{x_i}{\hat y}}\right\}\underbrace{abc}_{d}\int_0^1", font=font)
    assert {glyph.font for glyph in placed.glyphs} == {font}
    assert placed.height > 1 < placed.depth + 1
