import numpy as np
from PIL import Image, ImageDraw

from texlens.augment import FormulaTransform
from texlens.latex.layout.formula import layout
from texlens.latex.render.raster import draw

NONE = dict.fromkeys(FormulaTransform.__dataclass_fields__, 0) | {"probability": 1.0}


def formula(
    padding: float = 4.0, text: str = r"\frac { a + b } { \sqrt { x } } = \sum _ { n } y ^ { n }"
) -> Image.Image:
    return draw(layout(text), 20, padding=padding).convert("RGB")


def test_white_ink_on_black_stays_white_on_black():
    image = Image.eval(formula(), lambda level: 255 - level)

    changed = FormulaTransform(probability=1.0)(image, np.random.default_rng(3))

    assert np.median(np.asarray(changed)) < 128
    assert np.asarray(changed).max() > np.median(np.asarray(changed)) + 60


def test_a_blank_image_stays_as_it_is():
    blank = Image.new("RGB", (30, 20), "ivory")
    assert FormulaTransform(probability=1.0)(blank, np.random.default_rng(0)) is blank


def test_thin_strokes_are_never_lost_when_the_pen_gets_thinner():
    image = Image.new("RGB", (60, 30), "white")
    ImageDraw.Draw(image).line((5, 15, 55, 15), fill="black", width=1)
    for seed in range(20):
        changed = FormulaTransform(**NONE | {"stroke_width": 1.0})(image, np.random.default_rng(seed))
        assert np.asarray(changed).min() < 128
