"""The mixture of the second pre-training: print of many fonts and sizes, other engines, handwriting, several lines.

`WideImages(rows, fonts, typeset).sample(rng, "wide")` gives an 'L' image as someone may paste it, and its label. Labels
that `is_held_out` keeps out are never given.
"""

import io
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from PIL import Image

from pretraining.corpus import LATEX_OCR_PX_PER_EM, TrainingImages, as_latex_ocr, is_held_out
from pretraining.wide.commands import RareCommands
from pretraining.wide.disturbances import disturb, with_margins
from pretraining.wide.engines import TypesetRows
from pretraining.wide.fonts import shows
from pretraining.wide.lines import several_lines
from pretraining.wide.strokes import handwritten
from pretraining.wide.words import with_words
from texlens.augment import bucket_pad, degrade, ink_box, tight_pad
from texlens.core.errors import LatexError
from texlens.latex.layout.formula import Layout, layout
from texlens.latex.render.raster import draw

Row = dict
"""A row of LaTeX_OCR's parquet: `image` with PNG `bytes`, `text`."""


@dataclass(frozen=True)
class Stage:
    """Weights of the sources, the chance that print is disturbed, and how long formulas get (tokens)."""

    sources: dict[str, float]
    disturbed: float
    longest: int
    natural_longest: int


STAGES = {
    "begin": Stage(
        {"real": 8, "print": 30, "varied": 24, "commands": 16, "lines": 8, "typeset": 4, "strokes": 10}, 0.25, 30, 60
    ),
    "wide": Stage(
        {"real": 11, "print": 22, "varied": 22, "commands": 14, "lines": 14, "typeset": 7, "strokes": 10}, 0.45, 60, 150
    ),
    "settle": Stage(
        {"real": 18, "print": 22, "varied": 19, "commands": 12, "lines": 12, "typeset": 8, "strokes": 9}, 0.4, 60, 150
    ),
}
SIZES_PX_PER_EM = (9, 10, 11, 12, 13, 13.84, 15, 16, 18, 20, 22, 24, 27, 30, 34, 38, 44, 52, 62)
_SIZE_WEIGHTS = (3, 4, 5, 5, 5, 5, 5, 6, 6, 6, 5, 5, 4, 4, 3, 3, 2, 1.5, 1)
MOST_INK_PX = 180_000
"""Area in pixels above which a formula is drawn smaller."""
_PALETTE_FONTS, _PALETTE_SIZES, _PALETTE_LASTS = 4, 8, 1500
"""A worker draws so many formulas in so few fonts and sizes before it takes others: drawn glyphs are found again."""


class WideImages:
    """Endless samples of all sources; a source without data (no typeset rows) is left out."""

    def __init__(self, rows: Sequence[Row], fonts: dict[str, float], typeset: TypesetRows | None):
        self.rows, self.fonts, self.typeset = rows, fonts, typeset
        self.narrow = TrainingImages([row["text"] for row in rows])
        self.rare = RareCommands(self.fill)
        self._palette: tuple[list[str], list[float]] = ([], [])
        self._drawn = 0

    def sample(self, rng: random.Random, stage: str) -> tuple[Image.Image, str]:
        """An image and a label of any source."""
        plan = STAGES[stage]
        names = [name for name in plan.sources if name != "typeset" or self.typeset]
        weights = list(accumulate(plan.sources[name] for name in names))
        while True:
            source = rng.choices(names, cum_weights=weights)[0]
            pair = getattr(self, f"_{source}")(rng, plan)
            if pair is not None and not is_held_out(pair[1]):
                return pair

    def held_out(self, rng: random.Random, stage: str, count: int) -> Iterator[tuple[Image.Image, str]]:
        """Images of all drawn sources whose labels `sample` never gives, the sources in turn."""
        sources, number = ("print", "varied", "commands", "lines", "strokes"), 0
        while number < count:
            source = sources[number % len(sources)]
            if source == "print":
                pair = next(self.narrow.held_out(1, rng.getrandbits(32)))
            else:
                pair = getattr(self, f"_{source}")(rng, STAGES[stage])
            if pair is not None and is_held_out(pair[1]):
                number += 1
                yield pair

    def fill(self, rng: random.Random, tokens: int) -> str:
        """A piece of at most so many tokens: of random symbols, or of LaTeX_OCR's pieces."""
        if tokens < 4 or rng.random() < 0.55:
            return self.narrow.random_formulas.sample(rng, tokens)
        return self.narrow.recombiner.sample(rng, tokens)

    def wide_label(self, rng: random.Random, plan: Stage) -> str:
        """A random or recombined formula, or one with words."""
        roll = rng.random()
        if roll < 0.4:
            return self.narrow.random_formulas.sample(rng, round(rng.triangular(3, plan.longest, 3)))
        return with_words(rng, self.fill) if roll < 0.5 else self.narrow.recombiner.sample(rng, plan.natural_longest)

    def _real(self, rng: random.Random, plan: Stage) -> tuple[Image.Image, str]:
        row = rng.choice(self.rows)
        image = Image.open(io.BytesIO(row["image"]["bytes"])).convert("L")
        roll = rng.random()
        if roll < 0.35:
            image = degrade(image, rng)
        elif roll < 0.35 + plan.disturbed / 2:
            image = disturb(image, rng, LATEX_OCR_PX_PER_EM)
        return image, row["text"]

    def _print(self, rng: random.Random, plan: Stage) -> tuple[Image.Image, str]:
        """Print that resembles LaTeX_OCR, as in the first pre-training."""
        image, label = self.narrow.sample(rng, "natural")
        return (disturb(image, rng, LATEX_OCR_PX_PER_EM) if rng.random() < plan.disturbed / 3 else image), label

    def _varied(self, rng: random.Random, plan: Stage) -> tuple[Image.Image, str] | None:
        return self._printed(rng, plan, self.wide_label(rng, plan))

    def _commands(self, rng: random.Random, plan: Stage) -> tuple[Image.Image, str] | None:
        return self._printed(rng, plan, self.rare.sample(rng, round(rng.triangular(4, plan.longest, 10))))

    def _lines(self, rng: random.Random, plan: Stage) -> tuple[Image.Image, str] | None:
        return self._printed(rng, plan, several_lines(rng, self.fill))

    def _typeset(self, rng: random.Random, plan: Stage) -> tuple[Image.Image, str]:
        assert self.typeset
        image, label, px_per_em = self.typeset.sample(rng)
        return (disturb(image, rng, px_per_em) if rng.random() < plan.disturbed else image), label

    def _strokes(self, rng: random.Random, plan: Stage) -> tuple[Image.Image, str] | None:
        longest = min(plan.longest, 30)
        roll = rng.random()
        if roll < 0.5:
            label = self.narrow.random_formulas.sample(rng, round(rng.triangular(3, longest, 8)))
        else:
            label = self.narrow.recombiner.sample(rng, rng.randint(5, longest + 10))
        written = handwritten(label, rng)
        if written is None:
            return None
        image, px_per_em = written
        return (disturb(image, rng, px_per_em) if rng.random() < plan.disturbed else image), label

    def _printed(self, rng: random.Random, plan: Stage, label: str) -> tuple[Image.Image, str] | None:
        """The label in a font and size of the palette, disturbed now and then; None where that can't be."""
        font, size = self._style(rng)
        if not shows(font, label.split()):
            font = "latin-modern"
        try:
            formula = layout(label, font=font, system_fonts=False)
        except LatexError:
            return None
        size = _fitting(formula, size)
        image = _drawn(rng, formula, size) if size else None
        if image is not None and rng.random() < plan.disturbed:
            image = disturb(image, rng, size)
        return None if image is None else (image, label)

    def _style(self, rng: random.Random) -> tuple[str, float]:
        if self._drawn % _PALETTE_LASTS == 0:
            names, weights = list(self.fonts), list(self.fonts.values())
            self._palette = (
                rng.choices(names, weights, k=_PALETTE_FONTS),
                rng.choices(SIZES_PX_PER_EM, _SIZE_WEIGHTS, k=_PALETTE_SIZES),
            )
        self._drawn += 1
        fonts, sizes = self._palette
        return rng.choice(fonts), rng.choice(sizes)


def _fitting(formula: Layout, px_per_em: float) -> float:
    """The size, or the largest that `MOST_INK_PX` allows; 0 where even the smallest is too large."""
    left, bottom, right, top = formula.ink_box()
    area = max(right - left, 0.3) * max(top - bottom, 0.3)
    sizes = (px_per_em, *reversed(SIZES_PX_PER_EM))
    return next((size for size in sizes if size <= px_per_em and area * size**2 <= MOST_INK_PX), 0.0)


def _drawn(rng: random.Random, formula: Layout, px_per_em: float) -> Image.Image | None:
    """Black print with small margins; None without ink."""
    sharp = px_per_em <= 22 and rng.random() < 0.2
    image = as_latex_ocr(formula, px_per_em) if sharp else draw(formula, px_per_em, padding=4)
    if image is None or ink_box(image) is None:
        return None
    roll = rng.random()
    if roll < 0.15:
        return bucket_pad(image)
    if roll < 0.2:
        return with_margins(image, rng)
    return tight_pad(image, rng.randint(0, max(4, round(px_per_em))))
