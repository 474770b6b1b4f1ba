"""Pictures inside of a page: images as data and formulas drawn once."""

import base64
import io

import pytest
from PIL import Image

from texlens.data.sample import LazyImage
from texlens.html.pictures import MAX_SIDE, data_uri


def encoded(size, kind):
    buffer = io.BytesIO()
    Image.effect_noise(size, 90).save(buffer, kind)
    return buffer.getvalue()


def decoded(uri):
    head, _, data = uri.partition(",")
    return head, base64.b64decode(data)


def test_a_small_png_is_kept_byte_for_byte():
    data = encoded((40, 20), "PNG")
    assert decoded(data_uri(LazyImage.from_bytes(data))) == ("data:image/png;base64", data)


@pytest.mark.parametrize(("kind", "size"), [("TIFF", (40, 20)), ("JPEG", (2 * MAX_SIDE, 100))])
def test_what_browsers_do_not_show_is_converted_and_large_images_are_scaled_down(kind, size):
    head, data = decoded(data_uri(LazyImage.from_bytes(encoded(size, kind))))
    assert head in ("data:image/png;base64", "data:image/jpeg;base64")
    assert Image.open(io.BytesIO(data)).size == (min(size[0], MAX_SIDE), size[1] // max(size[0] // MAX_SIDE, 1))
