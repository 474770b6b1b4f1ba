"""Pictures of layouts: PNG and SVG."""

import numpy as np
import pytest

from texlens.core.errors import LatexError
from texlens.latex.layout.fonts import FONT_NAMES
from texlens.latex.layout.formula import layout
from texlens.latex.render.raster import draw

FORMULA = r"\frac{\sqrt{x^2+1}}{\alpha}"


@pytest.mark.parametrize("font", FONT_NAMES)
def test_ink_stays_within_the_padding(font):
    pixels = np.asarray(draw(layout(FORMULA, font=font), 20, padding=3))
    assert pixels.min() < 60
    assert pixels[:2].min() == pixels[-2:].min() == pixels[:, :2].min() == pixels[:, -2:].min() == 255


def test_the_picture_is_as_large_as_the_formula():
    placed = layout("x")
    image = draw(placed, 100, padding=0)
    assert abs(image.width - 100 * placed.width) <= 1
    assert image.mode == "L"


def test_a_rule_has_its_exact_gray():
    pixels = np.asarray(draw(layout(r"\rule{1em}{0.45em}"), 10, padding=0))
    assert pixels.shape == (5, 10)
    assert pixels[-1].tolist() == [127] * 10
    assert pixels[:-1].max() == 0


def test_ink_and_paper_are_chosen():
    pixels = np.asarray(draw(layout("x"), 30, ink=200, paper=10))
    assert (pixels.min(), pixels.max()) == (10, 200)


def test_the_same_layout_gives_the_same_pixels():
    first, second = (np.asarray(draw(layout(FORMULA), 12.5)) for _ in range(2))
    assert np.array_equal(first, second)


def test_a_shift_of_a_quarter_pixel_moves_the_ink():
    first, second = (np.asarray(draw(layout("l"), 12, padding=[pad, 2, 3, 2])).astype(float) for pad in (2, 2.25))
    centers = [((255 - p) * np.arange(p.shape[1])).sum() / (255 - p).sum() for p in (first, second)]
    assert centers[1] - centers[0] == pytest.approx(0.25, abs=0.05)


def test_a_picture_beyond_measure_is_refused():
    with pytest.raises(LatexError, match="draw it smaller"):
        draw(layout(r"x \hspace{%s cm} x" % ("9" * 400)), 1000)


def test_an_empty_formula_is_an_empty_picture():
    assert np.asarray(draw(layout(""), 20)).min() == 255
