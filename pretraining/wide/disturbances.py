"""What happens to a formula before someone pastes it: dark themes, shade, faint ink, wide margins, small copies, JPEG.

`disturb(image, rng)` keeps all ink, so the label stays right. Gray ('L') images in and out; colors count by their gray
level, since the model's patch weights see a color as its gray (`pretraining.train.fold_channels`).
"""

import io
import random

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from texlens.augment import degrade
from texlens.augment.canvas import WHITE

_STEPS = {
    "margins": 0.14, "small": 0.2, "worn": 0.35, "tone": 0.3, "shade": 0.2, "invert": 0.22, "noise": 0.1, "jpeg": 0.25,
}  # fmt: skip
"""The probability of each step, in the order in which they come."""
_FILTERS = (
    *(Image.Resampling.BOX, Image.Resampling.BOX, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS),
    *(Image.Resampling.BILINEAR, Image.Resampling.HAMMING),
)
"""What copies are made with; the sharpest, which reads worst, twice as often."""
MOST_PIXELS = 400_000
LEAST_PX_PER_EM = 6.3
"""Print is not made smaller than this: a little less than half of LaTeX_OCR's 13.84."""


def disturb(image: Image.Image, rng: random.Random, px_per_em: float) -> Image.Image:
    """A worse copy of dark print of that size on white; now and then nothing changes."""
    chosen = {name for name, chance in _STEPS.items() if rng.random() < chance}
    if "margins" in chosen:
        image = with_margins(image, rng)
    if "small" in chosen:
        image = smaller(image, rng, LEAST_PX_PER_EM / px_per_em)
    if "worn" in chosen:
        image = degrade(image, rng)
    if "tone" in chosen:
        image = toned(image, rng)
    if "shade" in chosen:
        image = shaded(image, rng)
    if "invert" in chosen:
        image = inverted(image, rng)
    if "noise" in chosen:
        image = grainy(image, rng)
    return through_jpeg(image, round(rng.triangular(9, 60, 12))) if "jpeg" in chosen else image


def with_margins(image: Image.Image, rng: random.Random) -> Image.Image:
    """On a larger sheet: a square one, or with margins of up to three times the formula in all, anywhere on it."""
    width, height = image.size
    if rng.random() < 0.4:
        side = round(max(width, height) * rng.uniform(1.0, 1.15))
        size = side, side
    else:
        size = round(width * rng.uniform(1, 3)), round(height * rng.uniform(1, 3.5))
    if size[0] * size[1] > MOST_PIXELS:
        return image
    sheet = Image.new("L", (max(size[0], width), max(size[1], height)), WHITE)
    sheet.paste(image, (rng.randint(0, sheet.width - width), rng.randint(0, sheet.height - height)))
    return sheet


def smaller(image: Image.Image, rng: random.Random, least: float) -> Image.Image:
    """A copy of 0.45 to 0.9 times the size, but of `least` or more; the same where that is no less than 1."""
    if least >= 1:
        return image
    scale = max(least, rng.uniform(0.45, 0.56) if rng.random() < 0.75 else rng.uniform(0.58, 0.9))
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, rng.choice(_FILTERS))


def larger(image: Image.Image, rng: random.Random, scales: tuple[float, float]) -> Image.Image:
    """A copy as image preparation enlarges it (Lanczos), of at most `MOST_PIXELS`."""
    scale = min(rng.uniform(*scales), (MOST_PIXELS / (image.width * image.height)) ** 0.5)
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)


def toned(image: Image.Image, rng: random.Random) -> Image.Image:
    """Gray or colored ink on gray or colored paper, at times of little contrast."""
    paper = rng.randint(150, 255)
    ink = rng.randint(0, max(0, paper - 60))
    return image.point([ink + level * (paper - ink) // WHITE for level in range(256)])


def shaded(image: Image.Image, rng: random.Random) -> Image.Image:
    """Light that falls off across the sheet to as little as a quarter: a gradient, or a field of 3 × 3 levels."""
    least = rng.uniform(0.25, 0.85)
    if rng.random() < 0.5:
        corners = [rng.uniform(least, 1.0) for _ in range(4)]
        levels = np.array(corners, np.float32).reshape(2, 2)
    else:
        levels = np.array([rng.uniform(least, 1.0) for _ in range(9)], np.float32).reshape(3, 3)
    field = Image.fromarray((levels * 255).astype(np.uint8)).resize(image.size, Image.Resampling.BICUBIC)
    return ImageChops.multiply(image, field)


def inverted(image: Image.Image, rng: random.Random) -> Image.Image:
    """A dark theme: light ink of some level on dark paper of some level."""
    paper, ink = rng.choice((0, rng.randint(0, 80))), rng.choice((255, rng.randint(150, 255)))
    return image.point([ink + level * (paper - ink) // WHITE for level in range(256)])


def grainy(image: Image.Image, rng: random.Random) -> Image.Image:
    noise = np.random.default_rng(rng.getrandbits(32)).standard_normal((image.height, image.width), dtype=np.float32)
    noise *= rng.uniform(3, 18)
    noise += np.asarray(image)
    noisy = Image.fromarray(noise.clip(0, WHITE).astype(np.uint8))
    return noisy.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.0))) if rng.random() < 0.3 else noisy


def through_jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("L")
