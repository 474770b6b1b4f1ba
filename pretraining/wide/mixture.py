"""The mixture of the second pre-training: print of many fonts and sizes, other engines, handwriting, several lines.

`WideImages(rows, fonts, typeset).sample(rng, "wide")` gives an 'L' image as someone may paste it, and its label. Labels
that `is_held_out` keeps out are never given.
"""

import io
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import NamedTuple

from PIL import Image

from pretraining.corpus import LATEX_OCR_PX_PER_EM, TrainingImages, as_latex_ocr, is_held_out
from pretraining.corpus import STAGES as NARROW_STAGES
from pretraining.wide.commands import RareCommands
from pretraining.wide.disturbances import LEAST_PX_PER_EM, disturb, larger, smaller, through_jpeg, with_margins
from pretraining.wide.engines import TypesetRows
from pretraining.wide.fonts import shows
from pretraining.wide.habits import PLAIN, Typesetter, without_small_spaces
from pretraining.wide.lines import several_lines
from pretraining.wide.strokes import handwritten
from pretraining.wide.words import with_words
from texlens.augment import bucket_pad, degrade, ink_box, tight_pad
from texlens.core.errors import LatexError
from texlens.latex.layout.boxes import Layout
from texlens.latex.render.raster import draw

Row = dict
"""A row of LaTeX_OCR's parquet: `image` with PNG `bytes`, `text`."""


class Drawn(NamedTuple):
    """A picture as it was drawn or typeset, its label, its pixels an em, and the source's name."""

    image: Image.Image
    label: str
    px_per_em: float
    source: str


@dataclass(frozen=True)
class Stage:
    """Weights of the sources, the chances that print is disturbed, halved and pressed (JPEG), and how long formulas get
    (tokens)."""

    sources: dict[str, float]
    disturbed: float
    halved: float
    pressed: float
    longest: int
    natural_longest: int


STAGES = {
    "begin": Stage(
        {"real": 8, "print": 30, "varied": 26, "commands": 16, "lines": 8, "typeset": 4, "strokes": 8},
        *(0.25, 0.1, 0.05, 30, 60),
    ),
    "wide": Stage(
        {"real": 13, "print": 26, "varied": 24, "commands": 11, "lines": 9, "typeset": 10, "strokes": 7},
        *(0.4, 0.34, 0.1, 60, 150),
    ),
    "settle": Stage(
        {"real": 20, "print": 25, "varied": 20, "commands": 10, "lines": 9, "typeset": 10, "strokes": 6},
        *(0.35, 0.32, 0.12, 60, 150),
    ),
}
SIZES_PX_PER_EM = (9, 10, 11, 12, 13, 13.84, 15, 16, 18, 20, 22, 24, 27, 30, 34, 38, 44, 52, 62)
_SIZE_WEIGHTS = (3, 4, 5, 5, 5, 5, 5, 6, 6, 6, 5, 5, 4, 4, 3, 3, 2, 1.5, 1)
DRAWN = ("print", "varied", "commands", "lines", "strokes")
"""Sources whose formulas are drawn as training goes on."""
AGAIN, RECENT = 0.6, 256
FROM_HALF = (2.2, 3.7)
"""How much image preparation enlarges print of half the size: 2.3 to 4.2 times, by rows of LaTeX_OCR validation."""
ENLARGED = 0.25
"""Of clean print like LaTeX_OCR's, this share is shown as a second view shows it."""
SPACELESS = 0.85
"""Of the labels that other engines' habits draw."""
MOST_INK_PX = 180_000
"""Area in pixels above which a formula is drawn smaller."""
_PALETTE_FONTS, _PALETTE_SIZES, _PALETTE_LASTS = 4, 8, 1500
"""A worker draws so many formulas in so few fonts and sizes before it takes others: drawn glyphs are found again."""


class WideImages:
    """Endless samples of all sources; a source without data (no typeset rows) is left out.

    A share of `AGAIN` of the drawn samples shows one of `RECENT` formulas once more, on other margins or changed in
    another way: drawing it is the longest part of the work.
    """

    def __init__(self, rows: Sequence[Row], fonts: dict[str, float], typeset: TypesetRows | None):
        self.rows, self.fonts, self.typeset = rows, fonts, typeset
        self.narrow = TrainingImages([row["text"] for row in rows])
        self.rare = RareCommands(self.fill)
        self._decoded: dict[int, Image.Image] = {}
        self._palette: tuple[list[Typesetter], list[float]] = ([], [])
        self._drawn = 0
        self._recent: list[Drawn] = []

    def sample(self, rng: random.Random, stage: str) -> tuple[Image.Image, str]:
        """An image and a label of any source."""
        plan = STAGES[stage]
        names = [name for name in plan.sources if name != "typeset" or self.typeset]
        weights = list(accumulate(plan.sources[name] for name in names))
        while True:
            source = rng.choices(names, cum_weights=weights)[0]
            if source in DRAWN and len(self._recent) == RECENT and rng.random() < AGAIN:
                return self._again(rng, plan)
            drawn = getattr(self, f"_{source}")(rng, plan)
            if drawn is None or is_held_out(drawn.label):
                continue
            if source in DRAWN:
                self._remember(rng, drawn)
            return changed(rng, plan, drawn), drawn.label

    def held_out(self, rng: random.Random, stage: str, count: int) -> Iterator[tuple[Image.Image, str]]:
        """Images of all drawn sources whose labels `sample` never gives, the sources in turn."""
        number = 0
        while number < count:
            source = DRAWN[number % len(DRAWN)]
            drawn = getattr(self, f"_{source}")(rng, STAGES[stage])
            if drawn is not None and is_held_out(drawn.label):
                number += 1
                yield changed(rng, STAGES[stage], drawn), drawn.label

    def _remember(self, rng: random.Random, drawn: Drawn) -> None:
        if len(self._recent) < RECENT:
            self._recent.append(drawn)
        else:
            self._recent[rng.randrange(RECENT)] = drawn

    def _again(self, rng: random.Random, plan: Stage) -> tuple[Image.Image, str]:
        """A recent formula on other margins, and changed; never as it was."""
        drawn = rng.choice(self._recent)
        if rng.random() < 0.5:
            drawn = drawn._replace(image=tight_pad(drawn.image, rng.randint(0, max(4, round(drawn.px_per_em)))))
            return changed(rng, plan, drawn), drawn.label
        return changed(rng, replace(plan, disturbed=1.0), drawn), drawn.label

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

    def _real(self, rng: random.Random, plan: Stage) -> Drawn:
        number = rng.randrange(len(self.rows))
        if number not in self._decoded:
            self._decoded[number] = Image.open(io.BytesIO(self.rows[number]["image"]["bytes"])).convert("L")
        return Drawn(self._decoded[number], self.rows[number]["text"], LATEX_OCR_PX_PER_EM, "real")

    def _print(self, rng: random.Random, plan: Stage) -> Drawn | None:
        """Print that resembles LaTeX_OCR, as in the first pre-training."""
        label = self.narrow.label(rng, NARROW_STAGES["natural"])
        image = self.narrow.picture(rng, label, 0.0)
        return None if image is None else Drawn(image, label, LATEX_OCR_PX_PER_EM, "print")

    def _varied(self, rng: random.Random, plan: Stage) -> Drawn | None:
        return self._printed(rng, self.wide_label(rng, plan), "varied")

    def _commands(self, rng: random.Random, plan: Stage) -> Drawn | None:
        return self._printed(rng, self.rare.sample(rng, round(rng.triangular(4, plan.longest, 10))), "commands")

    def _lines(self, rng: random.Random, plan: Stage) -> Drawn | None:
        return self._printed(rng, several_lines(rng, self.fill), "lines")

    def _typeset(self, rng: random.Random, plan: Stage) -> Drawn:
        assert self.typeset
        return Drawn(*self.typeset.sample(rng), "typeset")

    def _strokes(self, rng: random.Random, plan: Stage) -> Drawn | None:
        longest = min(plan.longest, 30)
        roll = rng.random()
        if roll < 0.5:
            label = self.narrow.random_formulas.sample(rng, round(rng.triangular(3, longest, 8)))
        else:
            label = self.narrow.recombiner.sample(rng, rng.randint(5, longest + 10))
        written = handwritten(label, rng)
        return None if written is None else Drawn(written[0], label, written[1], "strokes")

    def _printed(self, rng: random.Random, label: str, source: str) -> Drawn | None:
        """The label in a font, habits and size of the palette; None where that can't be."""
        typesetter, size = self._style(rng)
        if not shows(typesetter.font, label.split()):
            typesetter = PLAIN
        if typesetter.engine and rng.random() < SPACELESS:
            label = without_small_spaces(label)
        try:
            formula = typesetter.layout(label)
        except LatexError:
            return None
        size = _fitting(formula, size)
        image = _drawn(rng, formula, size) if size else None
        return None if image is None else Drawn(image, label, size, source)

    def _style(self, rng: random.Random) -> tuple[Typesetter, float]:
        if self._drawn % _PALETTE_LASTS == 0:
            names, weights = list(self.fonts), list(self.fonts.values())
            self._palette = (
                [Typesetter.drawn(rng, font) for font in rng.choices(names, weights, k=_PALETTE_FONTS)],
                rng.choices(SIZES_PX_PER_EM, _SIZE_WEIGHTS, k=_PALETTE_SIZES),
            )
        self._drawn += 1
        typesetters, sizes = self._palette
        return rng.choice(typesetters), rng.choice(sizes)


def changed(rng: random.Random, plan: Stage, drawn: Drawn) -> Image.Image:
    """The picture as someone may paste it: as it is, at half size, worn, disturbed, or as preparation enlarges it."""
    image, roll = drawn.image, rng.random()
    if drawn.source in ("real", "print"):
        small = rng.random()
        if small < plan.halved:
            image = smaller(image, rng, LEAST_PX_PER_EM / drawn.px_per_em)
            image = degrade(image, rng) if roll < 0.1 else image
            return larger(image, rng, FROM_HALF) if rng.random() < 0.8 else image
        if small < plan.halved + plan.pressed:
            return through_jpeg(image, round(rng.triangular(8, 30, 10)))
        if roll < 0.35:
            return degrade(image, rng)
        if roll < 0.35 + plan.disturbed / 2:
            return disturb(image, rng, drawn.px_per_em)
        return larger(image, rng, (1.3, 2.0)) if rng.random() < ENLARGED else image
    return disturb(image, rng, drawn.px_per_em) if roll < plan.disturbed else image


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
