"""Augmentation for photographs with captions: crop, flip, color; the image keeps its size."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from texlens.augment import pixels

_BEST_QUALITY = 95


@dataclass(frozen=True)
class PhotoTransform:
    """Called with an RGB image and a generator; every number is the largest change of its kind, 0 for none.

    `flip` is the probability to mirror left and right; each of the others comes with the probability `probability`.
    """

    probability: float = 0.5
    crop: float = 0.2
    """Up to this share of each side is cut away, and the rest scaled to the old size."""
    flip: float = 0.5
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.3
    hue_degrees: float = 8.0
    blur_px: float = 0.0
    noise: float = 0.0
    jpeg_quality: int = 0

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        for strength, probability, step in (
            (self.crop, self.probability, self._crop),
            (self.flip, self.flip, self._flip),
            (self.brightness + self.contrast + self.saturation + self.hue_degrees, self.probability, self._color),
            (self.blur_px, self.probability, self._blur),
            (self.noise, self.probability, self._noise),
            (self.jpeg_quality, self.probability, self._jpeg),
        ):
            roll = rng.random()
            if strength and roll < probability:
                image = step(image, rng)
        return image

    def _crop(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        """The same share of both sides, so that nothing is stretched."""
        part = 1 - self.crop * rng.random()
        width, height = part * image.width, part * image.height
        left, top = rng.random() * (image.width - width), rng.random() * (image.height - height)
        box = (left, top, left + width, top + height)
        return image.resize(image.size, Image.Resampling.BICUBIC, box=box)

    def _flip(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)

    def _color(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        brightness, contrast, saturation = (
            1 + strength * rng.uniform(-1, 1) for strength in (self.brightness, self.contrast, self.saturation)
        )
        return pixels.recolored(
            image,
            brightness=brightness,
            contrast=contrast,
            saturation=saturation,
            hue_degrees=self.hue_degrees * rng.uniform(-1, 1),
        )

    def _blur(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        return pixels.blurred(image, self.blur_px * rng.random())

    def _noise(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        return pixels.noisy(image, self.noise * rng.random(), rng, colored=True)

    def _jpeg(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        return pixels.through_jpeg(image, int(rng.integers(self.jpeg_quality, _BEST_QUALITY, endpoint=True)))
