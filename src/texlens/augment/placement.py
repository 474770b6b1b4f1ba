"""Scale, rotate, shear, pad and crop as one step: the ink is put elsewhere on a canvas of the same size, all of it."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from texlens.augment.ink import Ink

_MARGIN = 1.0
"""Pixels kept free round the ink, where there were that many."""
_HALVINGS = 6


@dataclass(frozen=True)
class Placement:
    """Where the ink goes. Angles are in degrees; `across` and `down` in 0..1 pick a place in the room that is left."""

    scale: float = 1.0
    rotate: float = 0.0
    shear: float = 0.0
    across: float = 0.5
    down: float = 0.5


def place_ink(image: Image.Image, ink: Ink, placement: Placement, *, min_scale: float = 0.8) -> Image.Image:
    """The image with its ink moved, of the same size and with every ink pixel on it.

    What the canvas can't hold is scaled down to fit. Where that would take it under `least_scale`, rotate and shear are
    halved until it does not. What lies beyond the old edge is paper.
    """
    linear, low, high = _fitting(ink, placement, image.size, min_scale)
    free = [(side - (end - start)) for side, start, end in zip(image.size, low, high, strict=True)]
    margins = [min(_MARGIN, space / 2) for space in free]
    shift = [
        margin + part * (space - 2 * margin) - start
        for part, space, margin, start in zip((placement.across, placement.down), free, margins, low, strict=True)
    ]
    inverse = np.linalg.inv(linear)
    x, y = -inverse @ np.array(shift)
    matrix = (inverse[0, 0], inverse[0, 1], x, inverse[1, 0], inverse[1, 1], y)
    if ink.is_even:
        return image.transform(
            image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor=ink.paper
        )
    return _with_edges_repeated(image, matrix)


def _fitting(
    ink: Ink, placement: Placement, size: tuple[int, int], min_scale: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The 2 x 2 matrix that is used, and the least and greatest (x, y) of the ink under it."""
    rotate, shear = math.radians(placement.rotate), math.tan(math.radians(placement.shear))
    for halving in range(_HALVINGS + 1):
        part = 0.0 if halving == _HALVINGS else 0.5**halving
        cos, sin = math.cos(part * rotate), math.sin(part * rotate)
        matrix = np.array([[cos, -sin], [sin, cos]]) @ np.array([[1.0, part * shear], [0.0, 1.0]])
        points = ink.outline @ matrix.T
        extent = points.max(axis=0) - points.min(axis=0)
        old = ink.outline.max(axis=0) - ink.outline.min(axis=0)
        free = np.array(size) - np.minimum(2 * _MARGIN, np.array(size) - old)
        largest = float((free / extent).min())
        if largest >= min_scale or part == 0:
            break
    scale = min(placement.scale, largest)
    return matrix * scale, points.min(axis=0) * scale, points.max(axis=0) * scale


def _with_edges_repeated(image: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    """The affine transform, with the edge's own pixels in place of one color beyond it."""
    border = max(image.size) // 2 + 1
    padded = np.pad(np.asarray(image), ((border, border), (border, border), (0, 0)), mode="edge")
    a, b, x, d, e, y = matrix
    moved = (a, b, x + border, d, e, y + border)
    return Image.fromarray(padded).transform(image.size, Image.Transform.AFFINE, moved, Image.Resampling.BICUBIC)
