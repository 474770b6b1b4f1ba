"""Glyphs and their tokens."""

import pytest

from tests.unit.latex.layout.drawing import EM
from texlens.latex.layout.formula import layout


def test_each_glyph_has_its_token():
    assert [glyph.source for glyph in layout(r"\alpha\sin x'\le").glyphs] == [
        "\\alpha",
        *["\\sin"] * 3,
        "x",
        "\\prime",
        "\\le",
    ]


def test_chinese_in_text_and_bare():
    for formula in (r"\text{若}x", "若x"):
        placed = layout(formula)
        assert placed.width > 1.5
        assert [glyph.source for glyph in placed.glyphs if glyph.font == "cjk"] in (["若"], [])


def test_a_character_that_no_font_has_is_a_frame():
    placed = layout("\U0001f9ff")
    assert placed.width == EM(1.0) or placed.glyphs


def test_negated_relations_are_one_glyph_where_the_font_has_it():
    assert [glyph.character for glyph in layout(r"\not=").glyphs] == ["≠"]


@pytest.mark.parametrize(
    ("formula", "fonts"),
    [
        (r"\mathfrak{1a}", ["digits-fraktur", "latin-modern"]),
        (r"\mathit{1a}", ["digits-italic", "latin-modern"]),
        (r"\textit{1}", ["digits-italic"]),
        (r"\boldsymbol{\mathit{1}}", ["latin-modern"]),
        (r"\mathrm{1}", ["latin-modern"]),
    ],
)
def test_digits_that_unicode_lacks_are_in_a_font_of_their_own(formula, fonts):
    glyphs = layout(formula, system_fonts=False).glyphs
    assert [glyph.font for glyph in glyphs] == fonts
    assert all(glyph.glyph_id for glyph in glyphs)
