"""The endless corpus of printed formulas that the nano model is pre-trained on, and the held-out part of it.

`TrainingImages(labels).sample(rng, "natural")` draws a formula nobody wrote, as print. One label in `HELD_OUT`, chosen
by its hash, is never given out by `sample`; `held_out` gives only those.
"""

import hashlib
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from texlens.augment import MILD, Degradation, bucket_pad, degrade, ink_box, tight_pad
from texlens.core.errors import LatexError
from texlens.latex.generate.random_formulas import RandomFormulas
from texlens.latex.generate.recombine import Recombiner
from texlens.latex.layout.formula import Layout, layout
from texlens.latex.render.raster import draw

FONTS = {"latin-modern": 0.76, "termes": 0.06, "pagella": 0.06, "schola": 0.06, "stix": 0.06}
"""How often each font is taken."""
LATEX_OCR_PX_PER_EM = 13.84
"""10 pt at 100 dpi; the widths of 400 rows of LaTeX_OCR over ours have the median 13.9 (mean edges add 0.05)."""
SIZES_PX_PER_EM = (9, 10, 11, 11.5, 12, 12.5, 13, 13.84, 14.5, 15, 16, 17, 18, 20, 22)
WIDEST_PX, TALLEST_PX = 520, 120
HELD_OUT = 50
"""One label in so many is kept out of training."""
_INK_FROM = 242
"""LaTeX_OCR was drawn in black and white at 200 dpi, any touched pixel black, then halved by Lanczos. With this level
in place of "touched", 60 rows drawn by us have as many pixels above each of six gray levels, within 3%."""


@dataclass(frozen=True)
class Stage:
    """How formulas of one part of the training are made: lengths in tokens, and the share of purely random ones."""

    random_share: float
    shortest: int
    longest: int
    natural_longest: int
    degraded: float


STAGES = {
    "short": Stage(random_share=0.75, shortest=3, longest=12, natural_longest=12, degraded=0.1),
    "mixed": Stage(random_share=0.5, shortest=3, longest=45, natural_longest=60, degraded=0.3),
    "natural": Stage(random_share=0.25, shortest=3, longest=80, natural_longest=150, degraded=0.4),
}
TEST_STAGE = Stage(random_share=0.5, shortest=5, longest=40, natural_longest=40, degraded=0.0)


def is_held_out(label: str) -> bool:
    """Whether a label, whatever its spacing, belongs to the part that training never sees."""
    digest = hashlib.sha1("".join(label.split()).encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest, "big") % HELD_OUT == 0


class TrainingImages:
    """Random and recombined formulas as images of print; `formulas` are the labels that recombination learns from."""

    def __init__(
        self,
        formulas: Iterable[str],
        *,
        random_formulas: RandomFormulas | None = None,
        fonts: dict[str, float] | None = None,
        degradation: Degradation = MILD,
    ):
        self.recombiner = Recombiner(formulas)
        self.random_formulas = random_formulas or RandomFormulas()
        self.fonts = fonts or FONTS
        self.degradation = degradation

    def sample(self, rng: random.Random, stage: str = "natural") -> tuple[Image.Image, str]:
        """An 'L' image of at most about `WIDEST_PX` × 160 pixels (degradation adds some) and its label."""
        while True:
            label = self.label(rng, STAGES[stage])
            if not is_held_out(label) and (image := self.picture(rng, label, STAGES[stage].degraded)):
                return image, label

    def label(self, rng: random.Random, stage: Stage) -> str:
        """A formula of either kind; random ones are short more often than long."""
        if rng.random() < stage.random_share:
            longest = rng.triangular(stage.shortest, stage.longest, stage.shortest)
            return self.random_formulas.sample(rng, round(longest))
        return self.recombiner.sample(rng, stage.natural_longest)

    def picture(self, rng: random.Random, label: str, degraded: float) -> Image.Image | None:
        """The label in print, degraded with that probability; None where it can't be drawn or is too large."""
        font = rng.choices(list(self.fonts), list(self.fonts.values()))[0]
        try:
            formula = layout(label, font=font)
        except LatexError:
            return None
        image = _as_latex_ocr(rng, formula) if rng.random() < 0.65 else _in_another_size(rng, formula)
        if image is not None and rng.random() < degraded:
            image = degrade(image, rng, self.degradation)
        return image

    def held_out(
        self, count: int = 500, seed: int = 0, random_share: float = TEST_STAGE.random_share
    ) -> Iterator[tuple[Image.Image, str]]:
        """`count` different formulas of 5 to 40 tokens that `sample` never gives, in clean print."""
        stage = replace(TEST_STAGE, random_share=random_share)
        rng, labels = random.Random(f"held-out {seed}"), set()
        while len(labels) < count:
            label = self.label(rng, stage)
            if label in labels or label.count(" ") < TEST_STAGE.shortest - 1 or not is_held_out(label):
                continue
            image = self.picture(rng, label, TEST_STAGE.degraded)
            if image is not None:
                labels.add(label)
                yield image, label


def _fits(formula: Layout, px_per_em: float) -> bool:
    height = formula.height + formula.depth
    return 0 < formula.width * px_per_em <= WIDEST_PX - 8 and 0 < height * px_per_em <= TALLEST_PX - 8


def as_latex_ocr(formula: Layout, px_per_em: float = LATEX_OCR_PX_PER_EM) -> Image.Image | None:
    """Drawn the way LaTeX_OCR's rows were, without its canvas; None where there is no ink."""
    pixels = np.asarray(draw(formula, 2 * px_per_em, padding=2))
    black = Image.fromarray(np.where(pixels <= _INK_FROM, np.uint8(0), np.uint8(255)))
    box = ink_box(black)
    if box is None:
        return None
    width, height = box[2] - box[0], box[3] - box[1]
    canvas = Image.new("L", (width + 16 + width % 2, height + 16 + height % 2), 255)
    canvas.paste(black.crop(box), (8, 8))
    return canvas.resize((canvas.width // 2, canvas.height // 2), Image.Resampling.LANCZOS)


def _as_latex_ocr(rng: random.Random, formula: Layout) -> Image.Image | None:
    image = as_latex_ocr(formula) if _fits(formula, LATEX_OCR_PX_PER_EM) else None
    if image is None:
        return None
    return bucket_pad(image) if rng.random() < 0.85 else tight_pad(image, rng.randint(0, 12))


def _in_another_size(rng: random.Random, formula: Layout) -> Image.Image | None:
    """Larger or smaller, in the same black print or in the thinner grays of a screen."""
    px_per_em = rng.choice(SIZES_PX_PER_EM)
    if not _fits(formula, px_per_em):
        return None
    image = as_latex_ocr(formula, px_per_em) if rng.random() < 0.4 else draw(formula, px_per_em, padding=4)
    if image is None or ink_box(image) is None:
        return None
    return bucket_pad(image) if rng.random() < 0.4 else tight_pad(image, rng.randint(0, 12))
