import random

import numpy as np
import pytest
from PIL import Image, ImageDraw

from texlens.augment import Degradation, degrade


def line_drawing(width: int = 240, height: int = 48) -> Image.Image:
    image = Image.new("L", (2 * width, 2 * height), 255)
    ImageDraw.Draw(image).line((8, 8, 2 * width - 9, 2 * height - 9), fill=0, width=5)
    return image.reduce(2)


def only(step: str) -> Degradation:
    return Degradation(**{name: float(name == step) for name in Degradation.__dataclass_fields__})


def test_the_same_seed_gives_the_same_pixels():
    first, second = (degrade(line_drawing(), random.Random(3)) for _ in range(2))

    assert first.tobytes() == second.tobytes()
    assert first.mode == "L"


@pytest.mark.parametrize("step", Degradation.__dataclass_fields__)
def test_each_step_changes_the_image(step):
    image = line_drawing()

    changed = degrade(image, random.Random(1), only(step))

    assert changed.size != image.size or changed.tobytes() != image.tobytes()


def test_turning_keeps_both_ends_of_a_corner_to_corner_line():
    for seed in range(50):
        image = Image.new("L", (200, 40), 255)
        image.putpixel((0, 0), 0)
        image.putpixel((199, 39), 0)

        turned = np.asarray(degrade(image, random.Random(seed), only("turn")))

        assert turned[:20, :20].min() < 250
        assert turned[-20:, -20:].min() < 250
