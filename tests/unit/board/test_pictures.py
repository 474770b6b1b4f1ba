"""Images as the pages are sent them."""

import io

import pytest
from PIL import Image

from tests.unit.data.pictures import png
from texlens.board.pictures import png_answer
from texlens.core.errors import DataError
from texlens.data.lazy_image import LazyImage


def test_an_image_is_sent_as_png_no_larger_than_asked_for():
    answer = png_answer(LazyImage.from_bytes(png(80, 20)), max_side=40)
    assert answer.media_type == "image/png"
    assert Image.open(io.BytesIO(answer.body)).size == (40, 10)
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_file_that_is_no_image_is_not_sent():
    with pytest.raises(DataError, match="not a readable image"):
        png_answer(LazyImage.from_bytes(b"<svg onload='alert(1)'/>"))
