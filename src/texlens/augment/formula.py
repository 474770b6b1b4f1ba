"""Augmentation that keeps a formula a formula: no ink is cut, nothing is mirrored, and the image keeps its size."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from texlens.augment import pixels
from texlens.augment.ink import Ink, find_ink
from texlens.augment.placement import Placement, place_ink

_TINT = ((0.0, 0.3), (0.0, 0.5), (0.2, 1.0))
"""How much of a shade each channel takes, from and to: old paper loses blue first."""
_BEST_QUALITY = 95


@dataclass(frozen=True)
class FormulaTransform:
    """Called with an RGB image and a generator; every number is the largest change of its kind, 0 for none.

    The steps come in the order of the fields, placement (scale to shift) as one, each with `probability`.
    """

    probability: float = 0.5
    scale: float = 0.15
    """Up to so much larger or smaller; larger only where the canvas has room."""
    rotate_degrees: float = 2.0
    shear_degrees: float = 4.0
    shift: float = 1.0
    """Share of the free canvas that the ink may move through: this is what pads and crops."""
    stroke_width: float = 0.5
    background: float = 0.25
    contrast: float = 0.4
    blur_px: float = 0.7
    noise: float = 8.0
    jpeg_quality: int = 40
    """The worst quality; 0 leaves JPEG out."""

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        ink = find_ink(image)
        if ink is None:
            return image
        for strength, step in (
            (self.scale + self.rotate_degrees + self.shear_degrees + self.shift, self._place_ink),
            (self.stroke_width, self._stroke_width),
            (self.contrast, self._contrast),
            (self.background, self._background),
            (self.blur_px, self._blur),
            (self.noise, self._noise),
            (self.jpeg_quality, self._jpeg),
        ):
            roll = rng.random()
            if strength and roll < self.probability:
                image = step(image, ink, rng)
        return image

    def _place_ink(self, image: Image.Image, ink: Ink, rng: np.random.Generator) -> Image.Image:
        scale = 1 + self.scale * rng.uniform(-1, 1)
        across, down = (self._moved(part, rng) for part in _free_parts(ink, image.size))
        rotate, shear = self.rotate_degrees * rng.uniform(-1, 1), self.shear_degrees * rng.uniform(-1, 1)
        return place_ink(image, ink, Placement(scale, rotate, shear, across, down), min_scale=1 - max(self.scale, 0.1))

    def _moved(self, part: float, rng: np.random.Generator) -> float:
        return part + self.shift * (rng.random() - part)

    def _stroke_width(self, image: Image.Image, ink: Ink, rng: np.random.Generator) -> Image.Image:
        return pixels.thicker(image, self.stroke_width * rng.uniform(-0.7, 1), dark_ink=ink.is_dark)

    def _contrast(self, image: Image.Image, ink: Ink, rng: np.random.Generator) -> Image.Image:
        return pixels.toward_paper(image, ink.paper, 1 - self.contrast * rng.random())

    def _background(self, image: Image.Image, ink: Ink, rng: np.random.Generator) -> Image.Image:
        field = self.background * (0.5 * rng.random() + 0.5 * pixels.smooth_field(image.size, rng))
        tint = [rng.uniform(*ends) for ends in _TINT]
        return pixels.shaded(image, field, tint, dark_ink=ink.is_dark)

    def _blur(self, image: Image.Image, ink: Ink, rng: np.random.Generator) -> Image.Image:
        return pixels.blurred(image, self.blur_px * rng.random())

    def _noise(self, image: Image.Image, ink: Ink, rng: np.random.Generator) -> Image.Image:
        return pixels.noisy(image, self.noise * rng.random(), rng)

    def _jpeg(self, image: Image.Image, ink: Ink, rng: np.random.Generator) -> Image.Image:
        return pixels.through_jpeg(image, int(rng.integers(self.jpeg_quality, _BEST_QUALITY, endpoint=True)))


def _free_parts(ink: Ink, size: tuple[int, int]) -> tuple[float, float]:
    """Where the ink is in the free canvas, across and down: 0 at one edge, 1 at the other."""
    left, top, right, bottom = ink.box
    free_x, free_y = size[0] - (right - left), size[1] - (bottom - top)
    return left / free_x if free_x > 0 else 0.5, top / free_y if free_y > 0 else 0.5
