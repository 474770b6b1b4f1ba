"""A drawn formula with how it was drawn, and what the styles share: fonts, sizes, colors."""

import io
import math
import random
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from texlens.core.errors import LatexError
from texlens.latex.layout.fonts import FONT_NAMES
from texlens.latex.layout.formula import Layout, layout
from texlens.latex.render.raster import draw

Color = tuple[int, int, int]
MAX_WIDTH_PX, MAX_HEIGHT_PX = 1200, 500
"""A formula is drawn smaller where it would be larger than this."""
MIN_PX_PER_EM = 9.0
"""Print smaller than this can't be read for sure."""
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


@dataclass(frozen=True)
class Drawn:
    """`columns` become columns of the row; `quality` is that of the JPEG it is kept as, None for PNG."""

    image: Image.Image
    columns: dict[str, str | int | float] = field(default_factory=dict)
    quality: int | None = None

    def encoded(self) -> bytes:
        """PNG (gray where it has no color) or JPEG."""
        file = io.BytesIO()
        if self.quality is None:
            self.image.save(file, "PNG", compress_level=3)
        else:
            self.image.save(file, "JPEG", quality=self.quality)
        return file.getvalue()


@dataclass(frozen=True)
class Print:
    """A formula in print before any color: coverage 0..255 ('L', ink is bright), and its font and size."""

    coverage: Image.Image
    font: str
    px_per_em: float

    @property
    def columns(self) -> dict[str, str | float]:
        return {"font": self.font, "px_per_em": self.px_per_em}


def printed_formula(label: str, rng: random.Random, sizes: tuple[float, float], padding: tuple[float, float]) -> Print:
    """The formula in one of the math fonts and a size between the two, with a margin of its own on each side.

    Raises:
        LatexError: it does not parse, has no ink, or is too large even in the smallest print.
    """
    font = rng.choice(FONT_NAMES)
    formula = layout(label, font=font)
    px_per_em = fitting(formula, rng.uniform(*sizes))
    margins = [rng.uniform(*padding) for _ in range(4)]
    picture = draw(formula, px_per_em, padding=margins, ink=255, paper=0)
    if picture.getextrema()[1] == 0:
        raise LatexError("the formula leaves no ink; take it out")
    return Print(picture, font, px_per_em)


def fitting(formula: Layout, px_per_em: float) -> float:
    """The size in whole halves (drawn glyphs are kept and found again), or the largest that keeps to the limits.

    Raises:
        LatexError: that would be too small to be read.
    """
    left, bottom, right, top = formula.ink_box()
    largest = min(MAX_WIDTH_PX / max(right - left, 0.01), MAX_HEIGHT_PX / max(top - bottom, 0.01))
    if largest < MIN_PX_PER_EM:
        raise LatexError(f"the formula is too large for {MAX_WIDTH_PX} x {MAX_HEIGHT_PX} pixels; shorten it")
    return min(round(2 * px_per_em) / 2, math.floor(100 * largest) / 100)


def colored(coverage: Image.Image, ink: Color, paper: Color | Image.Image) -> Image.Image:
    """Ink laid on paper: 'L' where both are gray, 'P' where both are plain (small files), 'RGB' on a picture."""
    if isinstance(paper, Image.Image):
        base = paper.copy()
        base.paste(ink, (0, 0), coverage)
        return base
    ramps = [[a + (b - a) * level // 255 for level in range(256)] for a, b in zip(paper, ink, strict=True)]
    if ramps[0] == ramps[1] == ramps[2]:
        return coverage.point(ramps[0])
    image = Image.frombytes("P", coverage.size, coverage.tobytes())
    image.putpalette(bytes(level for levels in zip(*ramps, strict=True) for level in levels))
    return image


def hex_color(color: Color) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


def near(rng: random.Random, color: Color, spread: int) -> Color:
    """A color up to `spread` levels away in each channel."""
    red, green, blue = (min(255, max(0, level + rng.randint(-spread, spread))) for level in color)
    return red, green, blue


def numbers(rng: random.Random) -> np.random.Generator:
    """A generator of arrays that goes on from this one."""
    return np.random.default_rng(rng.getrandbits(64))
