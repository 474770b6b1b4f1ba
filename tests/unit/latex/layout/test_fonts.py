"""The shipped math fonts."""

import time

import pytest

from texlens.core.errors import LatexError
from texlens.latex.layout.fonts import FONT_NAMES, MathFont, cjk_font, math_font


@pytest.mark.parametrize("name", FONT_NAMES)
def test_every_font_loads_quickly_and_knows_mathematics(name):
    path = math_font(name).path
    started = time.process_time()
    font = MathFont(name, path)
    assert time.process_time() - started < 3
    for character in "x𝑥𝛼∑∫√(→\u0302𝐀𝒜𝔤ℝ≤⟨":
        assert font.glyph(character), character
    assert 0.2 < font.constants["AxisHeight"] < 0.3
    assert len(font.vertical[font.glyph("(")].variants) >= 4
    assert font.vertical[font.glyph("√")].parts


def test_metrics_are_in_em():
    font = math_font("latin-modern")
    metrics = font.metrics(font.glyph("𝑓"))
    assert metrics.advance == pytest.approx(0.49)
    assert metrics.italic == pytest.approx(0.09)
    assert metrics.top == pytest.approx(0.705)


def test_scripts_have_forms_of_their_own():
    font = math_font("latin-modern")
    glyph = font.glyph("𝑥")
    assert len({glyph, font.script_form(glyph, 1), font.script_form(glyph, 2)}) == 3


def test_an_unknown_font_is_named():
    with pytest.raises(LatexError, match=r"comic.*latin-modern"):
        math_font("comic")


def test_the_chinese_font_has_chinese_characters():
    font = cjk_font()
    if font is None:
        pytest.skip("no font with Chinese characters on this machine")
    assert font.glyph("汉")
