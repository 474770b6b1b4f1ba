"""Fractions, roots and limits."""

from tests.unit.latex.layout.drawing import EM, glyphs
from texlens.latex.layout.boxes import glyph_box
from texlens.latex.layout.fonts import math_font
from texlens.latex.layout.formula import layout


def test_a_fraction_stands_around_the_axis():
    placed = layout(r"\frac{a}{b}")
    (bar,) = placed.rules
    above, below = placed.glyphs
    axis = math_font("latin-modern").constants["AxisHeight"]
    assert bar.y + bar.height / 2 == EM(axis)
    assert glyph_box(above)[1] > bar.y + bar.height
    assert glyph_box(below)[3] < bar.y
    assert bar.source == "\\frac"


def test_limits_go_over_and_under_in_display_and_beside_in_text():
    display, text = (glyphs(r"\sum_a^b", display=shown) for shown in (True, False))
    assert display["a"].x < text["a"].x
    assert glyph_box(display["b"])[1] > glyph_box(display["\\sum"])[3]
    assert glyph_box(display["a"])[3] < glyph_box(display["\\sum"])[1]
    forced = glyphs(r"\sum\limits_a^b", display=False)
    assert glyph_box(forced["b"])[1] > glyph_box(forced["\\sum"])[3]
    beside = glyphs(r"\sum\nolimits_a^b")
    assert beside["a"].x > beside["\\sum"].x + 1.4


def test_the_root_covers_its_radicand():
    placed = layout(r"\sqrt{\frac{a}{b}+c}")
    rule = next(rule for rule in placed.rules if rule.source == "\\sqrt")
    inside = [glyph_box(glyph) for glyph in placed.glyphs if glyph.source != "\\sqrt"]
    assert rule.x <= min(box[0] for box in inside)
    assert rule.x + rule.width >= max(box[2] for box in inside)
    assert rule.y > max(box[3] for box in inside)
    sign = next(glyph for glyph in placed.glyphs if glyph.source == "\\sqrt")
    assert glyph_box(sign)[3] == EM(rule.y + rule.height, abs=0.01)
