import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.unit.data.pictures import encoded, noise, png
from texlens.data.sample import LazyImage
from texlens.data.validate.image_stats import ImageStats, image_stats
from texlens.latex.render.formats import render_png


def formula(text: str = r"\frac{a+b}{c^2}=\int x\,dx") -> Image.Image:
    return Image.open(io.BytesIO(render_png(text, pixels_per_em=30)))


def stats(picture: Image.Image, format: str = "PNG", **options) -> ImageStats:
    return image_stats(LazyImage.from_bytes(encoded(picture, format, **options)))


def bits_apart(first: ImageStats, second: ImageStats) -> int:
    return sum((a ^ b).bit_count() for a, b in zip(first.perceptual_hash, second.perceptual_hash, strict=True))


def test_the_same_pixels_are_known_in_another_file_format_and_mode():
    gray = formula()
    assert stats(gray).pixels == stats(gray.convert("RGB"), "BMP").pixels
    assert stats(gray).pixels != stats(formula("x")).pixels


def test_the_look_survives_jpeg_and_padding_but_not_another_formula():
    plain = stats(formula())
    assert len(plain.perceptual_hash) == 64
    assert bits_apart(plain, stats(formula().convert("RGB"), "JPEG", quality=60)) <= 24
    assert bits_apart(plain, stats(ImageOps.expand(formula(), 12, 255))) <= 24
    assert bits_apart(plain, stats(formula(r"\frac{a-b}{d}=\sum_{k} y_k"))) > 60


def test_light_ink_on_a_dark_ground_is_inverted_and_a_dark_photograph_is_not():
    assert stats(ImageOps.invert(formula())).inverted
    assert not stats(formula()).inverted
    night = np.full((60, 90, 3), (5, 10, 60), np.uint8)
    night[20:30, 20:40] = (250, 200, 40)
    assert not stats(Image.fromarray(night)).inverted


def test_turned_and_transparent_images_are_reported_as_they_are_shown():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = stats(noise(40, 20), "JPEG", exif=exif)
    assert (turned.width, turned.height, turned.orientation) == (20, 40, 6)
    glass = Image.new("RGBA", (40, 20), (0, 0, 0, 0))
    glass.paste((0, 0, 0, 255), (5, 5, 30, 15))
    assert stats(glass).transparency
    assert stats(glass).ink_height == 10
    assert not stats(glass).inverted


@pytest.mark.parametrize(
    ("data", "problem", "reason"),
    [
        (b"no image", "unreadable-image", "not a readable image (cannot identify image file)"),
        (png(200, 100)[:900], "damaged-image", "the image is damaged"),
        (encoded(Image.new("L", (30, 20), 255)), "blank-image", "every pixel lies between 255 and 255"),
        (encoded(Image.new("I;16", (30, 20))), "unreadable-image", "pixels of mode I;16"),
    ],
)
def test_what_can_not_be_used_says_why(data, problem, reason):
    results = image_stats(LazyImage.from_bytes(data))
    assert results.problem == problem
    assert reason in results.reason
