"""PNG bytes."""

from io import BytesIO

import pytest
from PIL import Image

from texlens.core.errors import LatexError
from texlens.latex.render.formats import render_png

FORMULA = r"\frac{\sqrt{x^2+1}}{\alpha}"


def test_png_bytes_open():
    image = Image.open(BytesIO(render_png(FORMULA, pixels_per_em=16)))
    assert image.format == "PNG"
    assert image.width > 40


def test_a_formula_that_is_none_raises_one_line():
    with pytest.raises(LatexError, match="unknown command"):
        render_png(r"\nosuchthing")
