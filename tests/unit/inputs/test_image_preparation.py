"""Images of a drawn formula, disturbed one way at a time."""

import io

import numpy as np
import pytest
from PIL import Image

from texlens.inputs.image_preparation import Preparation, glyph_height, prepare
from texlens.latex.render.formats import render_png

PREPARATION = Preparation()


@pytest.fixture(scope="module")
def formula() -> Image.Image:
    data = render_png(r"\frac{a}{b} + x^2 = \sum_i y_i", pixels_per_em=13.84)
    return Image.open(io.BytesIO(data)).convert("RGB")


def levels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("L"), np.float64)


def difference(first: Image.Image, second: Image.Image) -> float:
    """Mean difference in gray levels of two images of one size."""
    return float(np.abs(levels(first) - levels(second)).mean())


def on_canvas(image: Image.Image, width: int, height: int) -> Image.Image:
    canvas = Image.new("RGB", (width, height), "white")
    canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return canvas


def test_a_clean_image_is_returned_as_it_is(formula):
    prepared = prepare(formula, PREPARATION)
    assert prepared.image is formula
    assert prepared.steps == ()


def test_a_blank_image_is_returned_as_it_is():
    blank = Image.new("RGB", (60, 20), "white")
    assert prepare(blank, PREPARATION).image is blank


def test_white_ink_on_black_becomes_black_on_white(formula):
    dark = Image.fromarray(255 - np.asarray(formula))
    prepared = prepare(dark, PREPARATION)
    assert prepared.steps == ("inverted",)
    assert difference(prepared.image, formula) < 0.5


def test_shading_is_divided_out(formula):
    light = np.linspace(1, 0.45, formula.width)[None, :, None]
    shaded = Image.fromarray((np.asarray(formula) * light).astype(np.uint8))
    prepared = prepare(shaded, PREPARATION)
    assert prepared.steps == ("background",)
    assert difference(prepared.image, formula) < 0.2 * difference(shaded, formula)


def test_pale_ink_on_gray_paper_is_stretched(formula):
    pale = Image.fromarray((150 + levels(formula) / 255 * 60).astype(np.uint8)).convert("RGB")
    prepared = prepare(pale, PREPARATION)
    assert prepared.steps == ("contrast",)
    assert difference(prepared.image, formula) < 8


def test_wide_margins_are_cut_and_no_ink_is(formula):
    prepared = prepare(on_canvas(formula, 600, 400), PREPARATION)
    assert prepared.steps == ("margins",)
    assert prepared.image.height < 2 * formula.height
    assert (levels(prepared.image) < 128).sum() == (levels(formula) < 128).sum()


def test_large_glyphs_are_scaled_to_the_usual_height(formula):
    large = formula.resize((formula.width * 4, formula.height * 4), Image.Resampling.BICUBIC)
    prepared = prepare(large, PREPARATION)
    assert prepared.steps == ("scaled",)
    assert prepared.image.height == pytest.approx(formula.height, rel=0.4)


def test_low_glyphs_are_enlarged_to_a_height_of_their_own(formula):
    low = formula.resize((formula.width // 2, formula.height // 2), Image.Resampling.BOX)
    usual = Preparation(min_glyph_px=8.0, usual_glyph_px=10.0)
    enlarged = Preparation(min_glyph_px=8.0, usual_glyph_px=10.0, enlarged_glyph_px=20.0)
    first, second = prepare(low, usual), prepare(low, enlarged)
    assert first.steps == second.steps == ("scaled",)
    assert second.image.height == pytest.approx(2 * first.image.height, abs=2)
    assert second.image.height > low.height
    assert prepare(formula, enlarged).image is formula


def test_the_height_of_glyphs_is_their_median_without_bars():
    ink = np.zeros((30, 60), bool)
    ink[10:18, 2:7] = ink[10:18, 10:15] = ink[8:20, 20:26] = True
    ink[25, :] = True
    assert glyph_height(ink) == 8.0
    assert glyph_height(np.zeros((5, 5), bool)) is None
