"""Photographed formulas: a sheet of print or handwriting seen askew, on a desk, in uneven light, through a phone."""

import random
from functools import cache

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from texlens.core.errors import LatexError
from texlens.synthesis.drawn import Color, Drawn, colored, hex_color, near, numbers, printed_formula
from texlens.synthesis.handwriting import handwriting

_SIZES_PX_PER_EM = (16.0, 34.0)
_PADDING_PX = (10.0, 30.0)
_BY_HAND = 0.3
_INKS: tuple[Color, ...] = ((25, 25, 28), (35, 35, 45), (30, 40, 90), (45, 45, 45))
_PAPERS: tuple[Color, ...] = ((250, 249, 245), (244, 240, 230), (236, 238, 240), (240, 232, 214))
_DESKS: tuple[Color, ...] = ((120, 84, 54), (70, 60, 54), (150, 150, 148), (54, 66, 80), (176, 142, 104), (40, 40, 44))
_ASKEW = 0.07
"""How far a corner of the sheet moves in, as a share of its height (at most 40 px)."""


def photo(label: str, rng: random.Random) -> Drawn:
    """
    Raises:
        LatexError: the label can't be drawn.
    """
    sheet, columns = _sheet(label, rng)
    array_rng = numbers(rng)
    image, view = _seen_askew(sheet, rng, array_rng)
    image = _in_uneven_light(image, rng)
    blur = rng.uniform(0.3, 1.1)
    image = image.filter(ImageFilter.BoxBlur(_box_of(blur)))
    noise = rng.uniform(2, 9)
    image = _grainy(image, noise, rng)
    quality = rng.randint(40, 90)
    return Drawn(image, columns | view | {"effects": f"blur {blur:.2g}, noise {noise:.2g}, jpeg {quality}"}, quality)


def _box_of(deviation_px: float) -> float:
    """The half width of the box that blurs as widely; it takes a third of a Gaussian's time and looks like a lens."""
    return ((12 * deviation_px**2 + 1) ** 0.5 - 1) / 2


def _sheet(label: str, rng: random.Random) -> tuple[Image.Image, dict[str, str | int | float]]:
    """The formula on its paper, in RGB, and how it was made."""
    if rng.random() < _BY_HAND:
        try:
            drawn = handwriting(label, rng)
            return drawn.image.convert("RGB"), drawn.columns
        except LatexError:
            pass
    ink, paper = near(rng, rng.choice(_INKS), 10), near(rng, rng.choice(_PAPERS), 4)
    formula = printed_formula(label, rng, _SIZES_PX_PER_EM, _PADDING_PX)
    columns = formula.columns | {"ink": hex_color(ink), "paper": hex_color(paper)}
    return colored(formula.coverage, ink, paper).convert("RGB"), columns


def _seen_askew(
    sheet: Image.Image, rng: random.Random, array_rng: np.random.Generator
) -> tuple[Image.Image, dict[str, str | float]]:
    """The sheet in perspective and a little turned; a desk shows at its edges, or the paper goes on."""
    reach = min(40.0, _ASKEW * sheet.height + 4)
    moves = [rng.uniform(0, reach) for _ in range(8)]
    width, height = sheet.size
    turn = rng.uniform(-0.5, 0.5) * reach
    high, low = max(0.0, turn), max(0.0, -turn)
    size = (width + round(2 * reach), height + round(2 * reach + abs(turn)))
    x0, y0 = moves[0], moves[1]
    quad = (
        (x0, y0 + high),
        (moves[2], size[1] - moves[3] - low),
        (size[0] - moves[4], size[1] - moves[5] - high),
        (size[0] - moves[6], moves[7] + low),
    )
    on_desk = rng.random() < 0.4
    desk = near(rng, rng.choice(_DESKS), 12)
    corners = ((0.0, 0.0), (0.0, float(height)), (float(width), float(height)), (float(width), 0.0))
    matrix = perspective(quad, corners)
    view = sheet.transform(
        size, Image.Transform.PERSPECTIVE, matrix, Image.Resampling.BILINEAR, fillcolor=sheet.getpixel((0, 0))
    )
    if on_desk:
        mask = Image.new("L", sheet.size, 255).transform(size, Image.Transform.PERSPECTIVE, matrix)
        view = Image.composite(view, _desk(size, desk, array_rng), mask)
    return view, {"around": "desk" if on_desk else "paper", "askew_px": round(reach, 1)}


def perspective(quad: tuple[tuple[float, float], ...], source: tuple[tuple[float, float], ...]) -> tuple[float, ...]:
    """The eight numbers by which Pillow finds, for a pixel of the quad, its place in the source."""
    rows, values = [], []
    for (x, y), (u, v) in zip(quad, source, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return tuple(np.linalg.solve(np.array(rows), np.array(values)).tolist())


def _desk(size: tuple[int, int], color: Color, rng: np.random.Generator) -> Image.Image:
    """A plain of one color with a grain that runs across."""
    grain = rng.normal(0, 9, (size[1], 1, 1)).astype(np.float32)
    pixels = np.broadcast_to(np.asarray(color, np.float32) + grain, (size[1], size[0], 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _in_uneven_light(image: Image.Image, rng: random.Random) -> Image.Image:
    """Darker toward some corners by up to a half, in warm or cold light."""
    depth = rng.uniform(0.1, 0.45)
    corners = Image.new("L", (2, 2))
    corners.putdata([round(255 * (1 - depth * rng.random())) for _ in range(4)])
    light = corners.resize(image.size, Image.Resampling.BICUBIC)
    tints = (rng.uniform(0.9, 1.0), rng.uniform(0.93, 1.0), rng.uniform(0.85, 1.0))
    channels = [light.point([round(level * tint) for level in range(256)]) for tint in tints]
    return ImageChops.multiply(image, Image.merge("RGB", channels))


def _grainy(image: Image.Image, deviation: float, rng: random.Random) -> Image.Image:
    """Noise cut from one large piece, since fresh normal numbers would cost more than all the rest."""
    noise = _noise()
    top, left = rng.randrange(noise.shape[0] // 2), rng.randrange(noise.shape[1] // 2)
    grain = np.pad(
        noise[top : top + image.height, left : left + image.width],
        ((0, max(0, image.height - (noise.shape[0] - top))), (0, max(0, image.width - (noise.shape[1] - left)))),
        mode="wrap",
    )
    pixels = np.asarray(image, np.int16) + (grain * deviation).astype(np.int16)[..., None]
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@cache
def _noise() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((1200, 2800), dtype=np.float32)
