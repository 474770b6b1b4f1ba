"""The DVI reader, on a small file that TeX wrote: a fraction a/b with specials around a, and x^2 on a second page."""

from pathlib import Path

import pytest

from texlens.latex.tex.dvi import DviError, DviGlyph, DviRule, DviSpecial, read_pages
from texlens.latex.tex.fonts import tfm_widths

FILE = Path(__file__).parents[3] / "fixtures/fraction.dvi"
WIDTHS = {("cmmi12", 97): 0.514, ("cmmi12", 98): 0.41632, ("cmmi12", 120): 0.55642, ("cmr8", 50): 0.53126}


def width(font, code):
    return WIDTHS[font, code]


def pages():
    return dict(read_pages(FILE.read_bytes(), width))


def test_glyphs_and_rules_have_their_places_in_points():
    items = [mark for mark in pages()[1] if not isinstance(mark, DviSpecial)]
    a, bar, b = items
    assert (a.font, chr(a.code), round(a.size_pt, 3)) == ("cmmi12", "a", 12.0)
    assert (round(bar.width_pt, 2), round(bar.height_pt, 2)) == (6.17, 0.48)
    assert isinstance(bar, DviRule)
    assert a.y_pt > bar.y_pt > b.y_pt
    assert a.x_pt == pytest.approx(bar.x_pt)


def test_a_character_moves_what_follows_by_its_width():
    x, two = (mark for mark in pages()[2] if isinstance(mark, DviGlyph))
    assert two.x_pt - x.x_pt == pytest.approx(0.55642 * 12, abs=0.001)
    assert two.y_pt - x.y_pt == pytest.approx(4.955, abs=0.001)
    assert (two.font, round(two.size_pt, 3)) == ("cmr8", 8.0)


def test_specials_stand_where_the_source_has_them():
    items = [mark.text if isinstance(mark, DviSpecial) else type(mark).__name__ for mark in pages()[1]]
    assert items[1:] == [
        "texlens:<", "texlens:0", "texlens:1", "DviGlyph", "texlens:", "DviRule", "DviGlyph", "texlens:", "texlens:>",
    ]  # fmt: skip


@pytest.mark.parametrize("size", [0, 1, 20, 60, 200, 300])
def test_a_file_that_is_cut_short_is_an_error(size):
    with pytest.raises(DviError, match=r"cut short|no DVI file"):
        dict(read_pages(FILE.read_bytes()[:size], width))


def test_what_is_no_dvi_file_is_an_error():
    with pytest.raises(DviError, match="no DVI file"):
        dict(read_pages(b"%PDF-1.5 and more", width))


def test_widths_of_a_tfm_file():
    """Characters 65 and 66 with the widths 1/2 and 1/4; a header of two words."""
    lengths = [0, 2, 65, 66, 3, 1, 1, 1, 0, 0, 0, 0]
    data = b"".join(number.to_bytes(2, "big") for number in lengths) + bytes(8)
    data += bytes([1, 0, 0, 0, 2, 0, 0, 0]) + b"".join(number.to_bytes(4, "big") for number in (0, 1 << 19, 1 << 18))
    assert tfm_widths(data) == {65: 0.5, 66: 0.25}
