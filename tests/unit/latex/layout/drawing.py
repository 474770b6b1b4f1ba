"""Formulas drawn, and what is read off them."""

import pytest

from texlens.latex.layout.formula import layout

EM = pytest.approx


def width(formula, **options):
    return layout(formula, **options).width


def glyphs(formula, **options):
    return {glyph.source: glyph for glyph in layout(formula, **options).glyphs}
