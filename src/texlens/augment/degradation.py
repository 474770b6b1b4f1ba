"""Make clean printed formulas look scanned or sent about, on a canvas that may grow.

`degrade(image, rng)` keeps every stroke on the canvas, so the label stays right. Gray ('L') images throughout.
"""

import io
import math
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from texlens.augment.canvas import WHITE


@dataclass(frozen=True)
class Degradation:
    """The probability of each step; the steps come in this order."""

    rotate: float = 0.35
    thicken: float = 0.25
    resample: float = 0.2
    blur: float = 0.25
    contrast: float = 0.3
    noise: float = 0.3
    jpeg: float = 0.2


MILD = Degradation()


def degrade(image: Image.Image, rng: random.Random, probabilities: Degradation = MILD) -> Image.Image:
    """A worse copy of a dark-on-light 'L' image, of about its size; no ink is cut off."""
    steps = (
        (probabilities.rotate, _rotate),
        (probabilities.thicken, _thicken),
        (probabilities.resample, _resample),
        (probabilities.blur, _blur),
        (probabilities.contrast, _contrast),
        (probabilities.noise, _noise),
        (probabilities.jpeg, _jpeg),
    )
    for probability, step in steps:
        if rng.random() < probability:
            image = step(image, rng)
    return image


def _rotate(image: Image.Image, rng: random.Random) -> Image.Image:
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
