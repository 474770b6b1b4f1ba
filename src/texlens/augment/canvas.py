"""The canvas around a formula: where its ink lies, and the margins that LaTeX_OCR leaves. Gray ('L') images."""

from PIL import Image

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

_INK_TABLE = [WHITE if level < INK_BELOW else 0 for level in range(256)]


def ink_box(image: Image.Image) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom of what is darker than `INK_BELOW`; None for a blank image."""
    return image.point(_INK_TABLE).getbbox()


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
