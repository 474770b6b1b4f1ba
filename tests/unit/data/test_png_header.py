import io
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from tests.unit.data.pictures import encoded, noise, png
from texlens.data.png_header import png_header
from texlens.data.sample import LazyImage


def by_pillow(data: bytes) -> tuple[int, int, str, bool]:
    with Image.open(io.BytesIO(data)) as image:
        return image.width, image.height, image.mode, "transparency" in image.info or image.mode in ("LA", "RGBA")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_the_head_is_what_pillow_reads(mode):
    data = encoded(noise(37, 21).convert(mode))
    assert png_header(data) == by_pillow(data) == (37, 21, mode, mode in ("LA", "RGBA"))


def test_transparency_and_comments_before_the_pixels_are_read():
    comment = PngImagePlugin.PngInfo()
    comment.add_text("row", "7")
    data = encoded(noise(9, 8).convert("P"), transparency=3, pnginfo=comment)
    assert png_header(data) == by_pillow(data) == (9, 8, "P", True)


def test_what_is_not_plain_is_left_to_pillow():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(noise(40, 20), exif=exif)
    assert png_header(turned) is None
    assert LazyImage.from_bytes(turned).size == (20, 40)
    assert png_header(encoded(Image.new("I;16", (4, 4)))) is None
    assert png_header(encoded(noise(40, 20), "JPEG")) is None
    assert png_header(png()[:40]) is None


def test_a_damaged_head_is_left_to_pillow():
    data = bytearray(png())
    data[18] ^= 1
    assert png_header(bytes(data)) is None
    empty = bytearray(png())
    empty[16:20] = bytes(4)
    empty[29:33] = zlib.crc32(empty[12:29]).to_bytes(4, "big")
    assert png_header(bytes(empty)) is None


@settings(deadline=None, max_examples=200)
@given(data=st.binary(max_size=80), patchify=st.integers(0, 60))
def test_any_bytes_are_read_or_rejected(data, patchify):
    png_header(data)
    png_header(png(8, 8)[:patchify] + data)
