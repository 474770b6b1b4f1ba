"""Workers that decode images."""

import io
import sys

import pytest
from PIL import Image

from tests.fixtures.drawn_images import drawn
from tests.unit.serve.decoders import decoder
from texlens.core.errors import TOO_LARGE, DataError
from texlens.data.sample import LazyImage

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n{ } loop\nshowpage"


def test_pixels_equal_those_that_are_decoded_here(images):
    for data in (drawn(120, 40), transparent()):
        expected = LazyImage.from_bytes(data, "x").load()
        image = images.decode(data, "x")
        assert image.size == expected.size
        assert image.load().tobytes() == expected.tobytes()


def transparent() -> bytes:
    file = io.BytesIO()
    Image.new("RGBA", (30, 20), (255, 0, 0, 128)).save(file, "WEBP")
    return file.getvalue()


@pytest.mark.parametrize("data", [b"", b"hello", drawn(90, 60)[:100], EPS], ids=["empty", "text", "cut", "eps"])
def test_what_is_no_image_is_refused_with_a_reason(images, data):
    with pytest.raises(DataError, match=r"^file: "):
        images.decode(data, "file")
    assert images.decode(drawn(20, 20), "next").size == (20, 20)


def test_image_over_the_limit_is_too_large(images):
    with pytest.raises(DataError, match="1200x1000 pixels, over the 1,000,000 allowed") as caught:
        images.decode(drawn(1200, 1000), "file")
    assert caught.value.kind == TOO_LARGE


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is enforced on Linux alone")
def test_memory_of_a_decoder_is_bounded():
    greedy = """
import texlens.serve.decode_worker as worker
worker.BASE_BYTES = 300 << 20
worker.LazyImage.load = lambda self: bytearray(2 << 30)
worker.main()
"""
    images = decoder(max_pixels=1000, script=greedy)
    try:
        with pytest.raises(DataError, match="takes too much memory"):
            images.decode(drawn(20, 20), "file")
    finally:
        images.close()
