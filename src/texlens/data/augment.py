"""Make clean printed formulas look photographed, scanned or sent about; and pad them as LaTeX_OCR does.

`degrade(image, rng)` keeps every stroke on the canvas, so the label stays right. Gray ('L') images throughout.
"""

import io
import math
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

WHITE = 255
INK_BELOW = 200
"""Pixels darker than this count as ink when a formula's box is measured."""
MARGIN = 4
"""Pixels between the canvas's corner and the ink in LaTeX_OCR."""
BUCKETS = (
    *((120, 50), (160, 40), (200, 40), (200, 50), (240, 40), (240, 50), (280, 40), (280, 50), (320, 40), (320, 50)),
    *((360, 40), (360, 50), (360, 60), (360, 100), (400, 50), (400, 160), (500, 100)),
)
"""The canvas sizes of LaTeX_OCR's `full` rows; the first that holds the formula and its margins is taken."""


@dataclass(frozen=True)
class Degradation:
    """The chance of each step; the steps come in this order."""

    turn: float = 0.35
    thicken: float = 0.25
    resample: float = 0.2
    blur: float = 0.25
    contrast: float = 0.3
    noise: float = 0.3
    jpeg: float = 0.2


MILD = Degradation()


def degrade(image: Image.Image, rng: random.Random, chances: Degradation = MILD) -> Image.Image:
    """A worse copy of a dark-on-light 'L' image, of about its size; no ink is cut off."""
    steps = (
        (chances.turn, _turn),
        (chances.thicken, _thicken),
        (chances.resample, _resample),
        (chances.blur, _blur),
        (chances.contrast, _contrast),
        (chances.noise, _noise),
        (chances.jpeg, _jpeg),
    )
    for chance, step in steps:
        if rng.random() < chance:
            image = step(image, rng)
    return image


def _turn(image: Image.Image, rng: random.Random) -> Image.Image:
    """Turned by up to 1.5°, scaled by up to 10% and shifted by parts of a pixel, on a canvas that holds it all."""
    angle, scale = math.radians(rng.gauss(0, 0.6)), rng.uniform(0.9, 1.1)
    angle = max(-0.026, min(0.026, angle))
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    width = math.ceil((image.width * math.cos(angle) + image.height * abs(math.sin(angle))) * scale) + 1
    height = math.ceil((image.height * math.cos(angle) + image.width * abs(math.sin(angle))) * scale) + 1
    shift_x, shift_y = rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.5)
    x = image.width / 2 - cos * (width / 2 + shift_x) - sin * (height / 2 + shift_y)
    y = image.height / 2 + sin * (width / 2 + shift_x) - cos * (height / 2 + shift_y)
    matrix = (cos, sin, x, -sin, cos, y)
    return image.transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor=WHITE)


def _thicken(image: Image.Image, rng: random.Random) -> Image.Image:
    """Strokes up to half a pixel bolder or somewhat paler."""
    if rng.random() < 0.5:
        return Image.blend(image, image.filter(ImageFilter.MinFilter(3)), rng.uniform(0.1, 0.5))
    gamma = rng.uniform(0.6, 0.95)
    return image.point([round(WHITE * (level / WHITE) ** gamma) for level in range(256)])


def _resample(image: Image.Image, rng: random.Random) -> Image.Image:
    """Once smaller or larger and back."""
    scale = rng.uniform(0.65, 0.95) if rng.random() < 0.7 else rng.uniform(1.2, 2.0)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    kinds = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
    return image.resize(size, rng.choice(kinds)).resize(image.size, rng.choice(kinds))


def _blur(image: Image.Image, rng: random.Random) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.9)))


def _contrast(image: Image.Image, rng: random.Random) -> Image.Image:
    """Grayer paper and paler ink."""
    paper, ink = rng.randint(190, 255), rng.randint(0, 90)
    return image.point([ink + level * (paper - ink) // WHITE for level in range(256)])


def _noise(image: Image.Image, rng: random.Random) -> Image.Image:
    noise = np.random.default_rng(rng.getrandbits(32)).standard_normal((image.height, image.width), dtype=np.float32)
    noise *= rng.uniform(2, 14)
    noise += np.asarray(image)
    return Image.fromarray(noise.clip(0, WHITE).astype(np.uint8))


def _jpeg(image: Image.Image, rng: random.Random) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=rng.randint(30, 85))
    return Image.open(file).convert("L")


def ink_box(image: Image.Image) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom of what is darker than `INK_BELOW`; None for a blank image."""
    return image.point([WHITE if level < INK_BELOW else 0 for level in range(256)]).getbbox()


def bucket_pad(image: Image.Image) -> Image.Image:
    """The ink `MARGIN` pixels from the top left corner of the first bucket that holds it.

    Larger formulas keep a canvas of their own size with the same margin all round.
    """
    left, top, right, bottom = ink_box(image) or (0, 0, 1, 1)
    width, height = right - left + 2 * MARGIN, bottom - top + 2 * MARGIN
    size = next((bucket for bucket in BUCKETS if bucket[0] >= width and bucket[1] >= height), (width, height))
    return _placed(image, size, left - MARGIN, top - MARGIN)


def tight_pad(image: Image.Image, margin: int) -> Image.Image:
    """The ink with `margin` pixels all round."""
    left, top, right, bottom = ink_box(image) or (0, 0, 1, 1)
    size = (right - left + 2 * margin, bottom - top + 2 * margin)
    return _placed(image, size, left - margin, top - margin)


def _placed(image: Image.Image, size: tuple[int, int], left: int, top: int) -> Image.Image:
    """What lies at (left, top) onward, on white; pale edges of strokes beyond the ink box come along."""
    canvas = Image.new("L", size, WHITE)
    canvas.paste(image, (-left, -top))
    return canvas
