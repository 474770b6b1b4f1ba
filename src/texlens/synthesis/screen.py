"""Formulas on a screen: themes light and dark, gray or sub-pixel smoothing, panels behind, scaling and compression."""

import random

import numpy as np
from PIL import Image, ImageDraw

from texlens.augment import pixels
from texlens.core.errors import LatexError
from texlens.latex.layout.fonts import FONT_NAMES
from texlens.latex.layout.formula import layout
from texlens.latex.render.raster import draw
from texlens.synthesis.drawn import Color, Drawn, colored, fitting, hex_color, near

_SIZES_PX_PER_EM = (12.0, 32.0)
_THEMES: dict[str, tuple[Color, Color]] = {
    "white": ((33, 33, 33), (255, 255, 255)),
    "mist": ((36, 41, 47), (246, 248, 250)),
    "sepia": ((67, 52, 34), (246, 236, 217)),
    "sky": ((20, 40, 90), (232, 242, 254)),
    "slate": ((226, 232, 240), (30, 41, 59)),
    "night": ((230, 237, 243), (13, 17, 23)),
    "coal": ((212, 212, 212), (30, 30, 30)),
    "plum": ((248, 248, 242), (40, 42, 54)),
    "board": ((240, 244, 238), (36, 72, 56)),
}
"""Ink and background of each."""
_SMOOTHING = {"gray": 0.55, "sub-pixel": 0.35, "none": 0.1}
_PANELS = {"none": 0.5, "card": 0.3, "window": 0.2}
_SCALES = (0.75, 0.8, 0.9, 1.1, 1.25, 1.5)
_KINDS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "nearest": Image.Resampling.NEAREST,
}
_LEAST_AFTER_PX = 11.0
_LAMPS: tuple[Color, ...] = ((237, 106, 94), (245, 191, 79), (98, 197, 84))


def screen(label: str, rng: random.Random) -> Drawn:
    """
    Raises:
        LatexError: the label can't be drawn.
    """
    font, theme = rng.choice(FONT_NAMES), rng.choice(list(_THEMES))
    smoothing = rng.choices(list(_SMOOTHING), list(_SMOOTHING.values()))[0]
    panel = rng.choices(list(_PANELS), list(_PANELS.values()))[0]
    formula = layout(label, font=font)
    px_per_em = fitting(formula, rng.uniform(*_SIZES_PX_PER_EM))
    ink, paper = (near(rng, color, 8) for color in _THEMES[theme])
    coverage = _coverage(formula, px_per_em, smoothing, rng)
    image, corner = _background((coverage.shape[1], coverage.shape[0]), paper, panel, rng)
    image = _laid(image, coverage, ink, corner)
    scale, kind, quality = 1.0, "bilinear", None
    if rng.random() < 0.4:
        scale, kind = rng.choice(_SCALES), rng.choice(list(_KINDS))
        scale = max(scale, _LEAST_AFTER_PX / px_per_em)
        if kind == "nearest" and scale < 1:
            kind = "bilinear"
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        image = image.resize(size, _KINDS[kind])
    if rng.random() < 0.3:
        quality = rng.randint(45, 92)
        image = pixels.through_jpeg(image, quality)
    columns: dict[str, str | int | float] = {
        "font": font, "px_per_em": px_per_em, "theme": theme, "smoothing": smoothing, "panel": panel,
        "ink": hex_color(ink), "paper": hex_color(paper), "scale": round(scale, 3),
        "effects": f"jpeg {quality}" if quality else "",
    }  # fmt: skip
    return Drawn(image, columns)


def _coverage(formula, px_per_em: float, smoothing: str, rng: random.Random) -> np.ndarray:
    """[H, W, 3] in 0..255: how much of each pixel's red, green and blue lamp the ink covers."""
    padding = [rng.uniform(4, 18) for _ in range(4)]
    if smoothing != "sub-pixel":
        gray = np.asarray(draw(formula, px_per_em, padding=padding, ink=255, paper=0))
        if not gray.any():
            raise LatexError("the formula leaves no ink; take it out")
        if smoothing == "none":
            gray = np.where(gray > 100, np.uint8(255), np.uint8(0))
        return np.repeat(gray[..., None], 3, axis=2)
    large = draw(formula, 3 * px_per_em, padding=[3 * side for side in padding], ink=255, paper=0)
    if large.getextrema()[1] == 0:
        raise LatexError("the formula leaves no ink; take it out")
    width, height = large.width // 3, large.height // 3
    lamps = np.asarray(large.resize((3 * width, height), Image.Resampling.BOX), np.float32)
    smooth = np.pad(lamps, ((0, 0), (1, 1)))
    smooth = (smooth[:, :-2] + smooth[:, 1:-1] + smooth[:, 2:]) / 3
    return smooth.reshape(height, width, 3).astype(np.uint8)


def _background(
    size: tuple[int, int], paper: Color, panel: str, rng: random.Random
) -> tuple[Image.Image, tuple[int, int]]:
    """The background of the formula, and the position of its picture's corner."""
    if panel == "none":
        return Image.new("RGB", size, paper), (0, 0)
    margin, bar = rng.randint(4, 14), rng.randint(14, 22) if panel == "window" else 0
    shade = 18 if sum(paper) < 380 else -14
    outside = tuple(min(255, max(0, level + shade)) for level in paper)
    image = Image.new("RGB", (size[0] + 2 * margin, size[1] + 2 * margin + bar), outside)
    canvas = ImageDraw.Draw(image)
    frame = (margin // 2, margin // 2, image.width - 1 - margin // 2, image.height - 1 - margin // 2)
    line = tuple(min(255, max(0, level + 2 * shade)) for level in paper)
    canvas.rounded_rectangle(frame, radius=rng.randint(0, 8), fill=paper, outline=line)
    if bar:
        canvas.rectangle((frame[0] + 1, frame[1] + 1, frame[2] - 1, frame[1] + bar), fill=line)
        for number, lamp in enumerate(_LAMPS):
            x, y, radius = frame[0] + 10 + 12 * number, frame[1] + bar // 2 + 1, 3
            if x + radius < frame[2]:
                canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=lamp)
    return image, (margin, margin + bar)


def _laid(image: Image.Image, coverage: np.ndarray, ink: Color, corner: tuple[int, int]) -> Image.Image:
    """Ink over the background, each lamp by its own coverage."""
    if (coverage[..., 0] == coverage[..., 2]).all():
        behind = image.crop((*corner, corner[0] + coverage.shape[1], corner[1] + coverage.shape[0]))
        image.paste(colored(Image.fromarray(coverage[..., 1].copy()), ink, behind), corner)
        return image
    pixels_HWC = np.array(image, np.float32)
    x, y = corner
    part = pixels_HWC[y : y + coverage.shape[0], x : x + coverage.shape[1]]
    part += (np.asarray(ink, np.float32) - part) * (coverage.astype(np.float32) / 255)
    return Image.fromarray((pixels_HWC + 0.5).astype(np.uint8))
