import numpy as np
from PIL import Image

from tests.unit.data.pictures import noise
from texlens.augment import PhotoTransform

NONE = dict.fromkeys(PhotoTransform.__dataclass_fields__, 0) | {"probability": 1.0}


def halves() -> Image.Image:
    """Red on the left, green on the right."""
    image = Image.new("RGB", (64, 48), (200, 30, 30))
    image.paste((30, 160, 30), (32, 0, 64, 48))
    return image


def test_a_flip_swaps_left_and_right():
    flipped = PhotoTransform(**NONE | {"flip": 1.0})(halves(), np.random.default_rng(0))
    assert flipped.getpixel((5, 5)) == (30, 160, 30)


def test_a_crop_keeps_the_size_and_stretches_nothing():
    image = noise(80, 40)

    cropped = PhotoTransform(**NONE | {"crop": 0.5})(image, np.random.default_rng(2))

    assert cropped.size == (80, 40)
    assert cropped.tobytes() != image.tobytes()


def test_the_same_generator_gives_the_same_photograph():
    first, second = (PhotoTransform(noise=9, blur_px=1)(noise(50, 50), np.random.default_rng(4)) for _ in range(2))
    assert first.tobytes() == second.tobytes()
