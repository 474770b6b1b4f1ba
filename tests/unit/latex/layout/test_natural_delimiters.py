"""Delimiters and their sizes."""

import pytest

from tests.unit.latex.layout.drawing import EM
from texlens.latex.layout.boxes import glyph_box
from texlens.latex.layout.formula import layout


@pytest.mark.parametrize("inner", ["x", r"\frac{a}{b}", r"\begin{matrix}1\\2\\3\\4\\5\\6\\7\end{matrix}"])
def test_delimiters_cover_what_they_enclose(inner):
    placed = layout(rf"\left( {inner} \right)")
    fence = [glyph_box(glyph) for glyph in placed.glyphs if glyph.source == "("]
    inside = layout(inner)
    assert max(box[3] for box in fence) >= inside.height - 0.3
    assert min(box[1] for box in fence) <= -inside.depth + 0.3


def test_sizes_of_big():
    heights = [layout(rf"{command}(").height for command in ("", "\\big", "\\Big", "\\bigg", "\\Bigg")]
    totals = [layout(rf"{command}(").height + layout(rf"{command}(").depth for command in ("\\big", "\\Bigg")]
    assert heights == sorted(heights)
    assert totals == EM([1.2, 3.0], abs=0.02)
