"""What happens to pixels where they are: pen, paper, lens, sensor and file. RGB images in and out, of the same size.

H, W = height and width in pixels, C = 3 channels
"""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageFilter

_MIN_CONTRAST_KEPT = 0.6
"""Thinner strokes keep this share of the ink's contrast, or stay as they are."""


def thicker(image: Image.Image, amount: float, *, dark_ink: bool) -> Image.Image:
    """Strokes bolder by up to a pixel on each side (`amount` 1), or thinner where it is negative."""
    size = 3 + 2 * (min(image.size) // 400)
    swells_dark = (amount > 0) == dark_ink
    changed = image.filter(ImageFilter.MinFilter(size) if swells_dark else ImageFilter.MaxFilter(size))
    blended = Image.blend(image, changed, abs(amount))
    if amount < 0 and _contrast_of(blended) < _MIN_CONTRAST_KEPT * _contrast_of(image):
        return image
    return blended


def _contrast_of(image: Image.Image) -> float:
    return float(np.asarray(image.convert("L"), np.float32).std())


def shaded(image: Image.Image, field_HW: np.ndarray, tint: Sequence[float], *, dark_ink: bool) -> Image.Image:
    """Paper of another shade and color: light paper is darkened by `field` x `tint` (0 leaves it, 1 is black), dark
    paper is lit by the same."""
    shade_HWC = field_HW[..., None] * np.asarray(tint, np.float32)
    pixels = np.asarray(image, np.float32)
    shaded_HWC = pixels * (1 - shade_HWC) if dark_ink else 255 - (255 - pixels) * (1 - shade_HWC)
    return Image.fromarray(shaded_HWC.clip(0, 255).astype(np.uint8))


def smooth_field(size: tuple[int, int], rng: np.random.Generator, cells: int = 3) -> np.ndarray:
    """[H, W] in 0..1 that changes slowly: light falling on a sheet."""
    coarse = rng.random((cells, cells), dtype=np.float32)
    field = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))
    return field.clip(0, 1)


def toward_paper(image: Image.Image, paper: tuple[int, int, int], factor: float) -> Image.Image:
    """Paler ink: the distance of each pixel from the paper times `gain`."""
    return Image.blend(Image.new("RGB", image.size, paper), image, factor)


def blurred(image: Image.Image, radius_px: float) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(radius_px))


def noisy(image: Image.Image, deviation: float, rng: np.random.Generator, *, colored: bool = False) -> Image.Image:
    """Normal noise of `deviation` levels, the same in all channels unless `colored`."""
    shape = (image.height, image.width, 3 if colored else 1)
    shaded_HWC = np.asarray(image) + deviation * rng.standard_normal(shape, dtype=np.float32)
    return Image.fromarray(shaded_HWC.clip(0, 255).astype(np.uint8))


def through_jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def recolored(
    image: Image.Image, *, brightness: float, contrast: float, saturation: float, hue_degrees: float
) -> Image.Image:
    """Colors changed by factors, 1 leaving them, and turned round the circle of hues."""
    pixels = np.asarray(image, np.float32) * brightness
    gray = pixels @ np.array((0.299, 0.587, 0.114), np.float32)
    pixels = gray[..., None] + (pixels - gray[..., None]) * saturation
    pixels = gray.mean() + (pixels - gray.mean()) * contrast
    changed = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    if not hue_degrees:
        return changed
    hue, saturation_channel, value = changed.convert("HSV").split()
    turned = hue.point([(level + round(hue_degrees * 256 / 360)) % 256 for level in range(256)])
    return Image.merge("HSV", (turned, saturation_channel, value)).convert("RGB")
