"""Where the ink of a formula lies, on paper of any color.

H, W = height and width in pixels
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

_MIN_DIFFERENCE = 24
"""Levels of gray from the paper to the faintest ink, where the paper is clean."""
_UNEVEN_FROM = 64
"""If the levels along the paper's edge spread more than this, ink can't be separated from shading."""
_SPREADS = 6
"""Robust deviations of the paper's edge that don't count as ink."""


@dataclass(frozen=True)
class Ink:
    """`paper` is the color round the edge; `outline`, [N, 2], holds (x, y) corners of pixels that span all the ink.

    `is_even` is False where the paper is shaded so much that the whole image counts as ink.
    """

    paper: tuple[int, int, int]
    outline: np.ndarray
    is_even: bool
    is_dark: bool
    """Darker than the paper."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        (left, top), (right, bottom) = self.outline.min(axis=0), self.outline.max(axis=0)
        return left, top, right, bottom


def find_ink(image: Image.Image) -> Ink | None:
    """The ink of an RGB image; None where the image is blank."""
    gray_HW = np.asarray(image.convert("L"), np.int16)
    edge = np.concatenate([gray_HW[0], gray_HW[-1], gray_HW[:, 0], gray_HW[:, -1]])
    level = int(np.median(edge))
    limit = _MIN_DIFFERENCE + _SPREADS * float(np.median(np.abs(edge - level)))
    is_even = limit <= _UNEVEN_FROM
    mask_HW = np.abs(gray_HW - level) > limit if is_even else np.ones(gray_HW.shape, bool)
    if not mask_HW.any():
        return None
    inked = gray_HW[mask_HW].mean() if is_even else np.percentile(gray_HW, 2)
    return Ink(_edge_color(image), outline(mask_HW), is_even, bool(inked < level))


def outline(mask_HW: np.ndarray) -> np.ndarray:
    """Corners (x, y) of the first and last marked pixel of each row: their convex hull is that of the whole mask."""
    rows = np.flatnonzero(mask_HW.any(axis=1))
    first = mask_HW[rows].argmax(axis=1)
    last = mask_HW.shape[1] - mask_HW[rows, ::-1].argmax(axis=1)
    corners = [np.stack([x, y], axis=1) for x in (first, last) for y in (rows, rows + 1)]
    return np.concatenate(corners).astype(np.float64)


def _edge_color(image: Image.Image) -> tuple[int, int, int]:
    pixels_HWC = np.asarray(image)
    edge = np.concatenate([pixels_HWC[0], pixels_HWC[-1], pixels_HWC[:, 0], pixels_HWC[:, -1]])
    red, green, blue = np.median(edge, axis=0)
    return int(red), int(green), int(blue)
