"""Styles of the layout engine."""

from tests.unit.latex.layout.drawing import EM, glyphs
from texlens.latex.layout.formula import layout


def test_scripts_are_smaller_and_shifted():
    by_character = glyphs("x^2_1")
    assert by_character["2"].size == by_character["1"].size == EM(8 / 11)
    assert by_character["2"].y > 0 > by_character["1"].y
    assert layout("x^{y^z}").glyphs[2].size == EM(6 / 11)


def test_a_superscript_in_display_stands_where_computer_modern_puts_it():
    assert glyphs("x^2")["2"].y == EM(0.413)
    assert glyphs("x^2", display=False)["2"].y == EM(0.363)


def test_a_cramped_superscript_is_lower():
    assert glyphs(r"\sqrt{x^2}")["2"].y < glyphs("x^2")["2"].y


def test_operators_grow_in_display():
    heights = [layout(r"\int", display=display).height for display in (True, False)]
    assert heights[0] > 1.3 > heights[1]
