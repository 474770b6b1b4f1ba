"""How an image becomes a grid of patches: sizes alone, decided from width and height before a pixel is decoded."""

import math
from dataclasses import dataclass
from typing import Literal

from texlens.core.errors import ConfigError, DataError

Resize = Literal["pil", "torchvision"]
"""Whose bicubic resizing: Pillow's or torchvision's, which differ by up to 21 of 255 levels."""


@dataclass(frozen=True)
class ImageGeometry:
    """A family's patching and a pixel budget (`min_pixels`, `max_pixels`: width x height after resizing).

    Sides become multiples of `patch_size * merge_size`; `max_aspect` is the largest long side / short side.
    """

    patch_size: int
    merge_size: int = 2
    temporal_patch_size: int = 2
    min_pixels: int = 65_536
    max_pixels: int = 16_777_216
    max_aspect: int = 200
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    resize: Resize = "pil"

    def __post_init__(self):
        if not self.factor**2 <= self.max_pixels:
            raise ConfigError(
                f"max_pixels {self.max_pixels} is less than one token of {self.factor}x{self.factor} pixels; raise it"
            )
        if self.min_pixels > self.max_pixels:
            raise ConfigError(f"min_pixels {self.min_pixels} is over max_pixels {self.max_pixels}; swap them")

    @property
    def chosen(self) -> list[int | str]:
        """What a run chose of it, for the identity of saved results: pixel budget, and resizing other than Pillow's."""
        return [self.min_pixels, self.max_pixels, *([] if self.resize == "pil" else [self.resize])]

    @property
    def factor(self) -> int:
        """Pixels on a side of the square that becomes one token."""
        return self.patch_size * self.merge_size

    def resized(self, width: int, height: int) -> tuple[int, int]:
        """Width and height that the image is scaled to: the rule of transformers' Qwen2-VL image processor.

        Example (patch 16, merge 2, min_pixels 65,536):
            (200, 50) -> (512, 128)

        Raises:
            DataError: longer than `max_aspect` times its short side.
        """
        if max(width, height) > self.max_aspect * min(width, height):
            raise DataError(
                f"{width}x{height} pixels: the long side is over {self.max_aspect} times the short one; pad or crop it"
            )
        factor = self.factor
        new_width, new_height = round(width / factor) * factor, round(height / factor) * factor
        if new_width * new_height > self.max_pixels:
            scale = math.sqrt(width * height / self.max_pixels)
            new_width = max(factor, math.floor(width / scale / factor) * factor)
            new_height = max(factor, math.floor(height / scale / factor) * factor)
        elif new_width * new_height < self.min_pixels:
            scale = math.sqrt(self.min_pixels / (width * height))
            new_width = math.ceil(width * scale / factor) * factor
            new_height = math.ceil(height * scale / factor) * factor
        return new_width, new_height

    def grid(self, width: int, height: int) -> tuple[int, int, int]:
        """Frames, rows and columns of patches."""
        new_width, new_height = self.resized(width, height)
        return 1, new_height // self.patch_size, new_width // self.patch_size

    def tokens(self, width: int, height: int) -> int:
        """Tokens that the image costs the language model."""
        _, rows, columns = self.grid(width, height)
        return rows * columns // self.merge_size**2
