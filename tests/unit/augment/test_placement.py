import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from texlens.augment.ink import find_ink
from texlens.augment.placement import Placement, place_ink

COLORS = ((255, 0, 0), (0, 150, 0), (0, 0, 255), (0, 0, 0))
strengths = st.floats(-1, 1)


def with_four_corners(width: int, height: int, margin: int) -> Image.Image:
    """Ink at the four corners of a canvas, each in a color of its own."""
    image = Image.new("RGB", (width, height), "white")
    right, bottom = width - margin - 10, height - margin - 10
    corners = ((margin, margin), (right, margin), (margin, bottom), (right, bottom))
    for color, (x, y) in zip(COLORS, corners, strict=True):
        image.paste(color, (x, y, x + 10, y + 10))
    return image


def pixels_of(image: Image.Image, color: tuple[int, int, int]) -> int:
    return int((np.abs(np.asarray(image, int) - color).max(axis=2) < 60).sum())


@settings(max_examples=60, deadline=None)
@given(
    st.integers(40, 300), st.integers(40, 200), st.integers(0, 8),
    strengths, strengths, strengths, st.floats(0, 1), st.floats(0, 1),
)  # fmt: skip
def test_no_corner_of_the_ink_is_ever_cut(width, height, margin, scale, turn, shear, across, down):
    image = with_four_corners(width, height, margin)

    placed = place_ink(image, find_ink(image), Placement(1 + 0.4 * scale, 10 * turn, 10 * shear, across, down))

    assert placed.size == image.size
    assert all(pixels_of(placed, color) >= 25 for color in COLORS)
    edge = np.asarray(placed.convert("L").crop((0, 0, width, 1)))
    assert margin < 2 or edge.min() > 180


def test_a_photographed_formula_has_no_corners_of_one_color_after_a_turn():
    shade = np.linspace(90, 250, 200, dtype=np.uint8)
    image = Image.fromarray(np.broadcast_to(shade, (80, 200)).copy()).convert("RGB")
    ImageDraw.Draw(image).line((60, 40, 140, 40), fill=(10, 10, 10), width=4)

    turned = place_ink(image, find_ink(image), Placement(0.8, 3.0))

    assert not find_ink(image).is_even
    assert np.asarray(turned.convert("L"))[:, 0].max() < 110
