"""Boxes."""

from tests.unit.latex.layout.drawing import EM, width
from texlens.latex.layout.formula import layout


def test_size_scales_everything():
    small, large = layout(r"\frac{a}{b^2}"), layout(r"\frac{a}{b^2}", size=10)
    assert large.width == EM(10 * small.width)
    assert large.glyphs[1].y == EM(10 * small.glyphs[1].y)
    assert large.rules[0].height == EM(10 * small.rules[0].height)


def test_phantom_takes_room_without_ink():
    assert layout(r"\phantom{abc}").glyphs == ()
    assert width(r"\phantom{abc}") == EM(width("abc"))
