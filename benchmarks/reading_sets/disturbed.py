"""The same print in states in which people paste it; plain array arithmetic, RGB in and out, the label stays right."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

_NIGHT, _CHALK = np.array([30.0, 30, 30]), np.array([212.0, 212, 212])
_SEPIA, _NAVY = np.array([250.0, 240, 215]), np.array([25.0, 35, 110])


def dark(image: Image.Image) -> Image.Image:
    """A code editor's dark theme."""
    return _mixed(image, _CHALK, _NIGHT)


def colored(image: Image.Image) -> Image.Image:
    """Navy ink on cream paper."""
    return _mixed(image, _NAVY, _SEPIA)


def uneven_light(image: Image.Image) -> Image.Image:
    """From full light in one corner to two fifths in the other."""
    height, width = image.height, image.width
    falling = np.linspace(0, 0.5, height)[:, None] + np.linspace(0, 0.5, width)[None]
    return Image.fromarray((np.asarray(image.convert("RGB")) * (1 - 0.6 * falling)[..., None]).astype(np.uint8))


def jpeg_10(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.convert("RGB").save(file, "JPEG", quality=10)
    return Image.open(file).convert("RGB")


def half_size(image: Image.Image) -> Image.Image:
    size = max(1, image.width // 2), max(1, image.height // 2)
    return image.convert("RGB").resize(size, Image.Resampling.BOX)


def three_quarters(image: Image.Image) -> Image.Image:
    """Small print: 10.4 pixels an em of LaTeX_OCR's 13.84."""
    size = max(1, round(0.75 * image.width)), max(1, round(0.75 * image.height))
    return image.convert("RGB").resize(size, Image.Resampling.BOX)


def square(image: Image.Image) -> Image.Image:
    """In the middle of a white square as wide as the picture."""
    side = max(image.size)
    sheet = Image.new("RGB", (side, side), "white")
    sheet.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return sheet


def three_times_the_canvas(image: Image.Image) -> Image.Image:
    sheet = Image.new("RGB", (3 * image.width, 3 * image.height), "white")
    sheet.paste(image, (image.width, image.height))
    return sheet


def faint(image: Image.Image) -> Image.Image:
    """Gray ink on gray paper."""
    return _mixed(image, np.array([150.0] * 3), np.array([208.0] * 3))


def doubled(image: Image.Image) -> Image.Image:
    """Twice as large: a fine screen or a 200 dpi scan."""
    return image.convert("RGB").resize((2 * image.width, 2 * image.height), Image.Resampling.BICUBIC)


DISTURBANCES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "undisturbed": lambda image: image.convert("RGB"),
    "dark mode": dark,
    "uneven light": uneven_light,
    "jpeg 10": jpeg_10,
    "three quarters": three_quarters,
    "half size": half_size,
    "square canvas": square,
    "three times the canvas": three_times_the_canvas,
    "colored": colored,
    "faint": faint,
    "doubled": doubled,
}


def _mixed(image: Image.Image, ink: np.ndarray, paper: np.ndarray) -> Image.Image:
    share = np.asarray(image.convert("L"), np.float64)[..., None] / 255
    return Image.fromarray((ink + share * (paper - ink)).astype(np.uint8))
