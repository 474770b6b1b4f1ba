"""Printed formulas: five math fonts, sizes from a footnote's to a slide's, ink and paper of many colors, noise."""

import random

from PIL import Image

from texlens.augment import pixels
from texlens.augment.canvas import bucket_pad
from texlens.synthesis.drawn import BLACK, WHITE, Color, Drawn, colored, hex_color, near, numbers, printed_formula

_SIZES_PX_PER_EM = (11.0, 40.0)
_PADDING_PX = (3.0, 24.0)
_INKS: tuple[Color, ...] = ((20, 20, 30), (20, 30, 110), (110, 20, 20), (10, 80, 40), (70, 30, 100), (60, 60, 60))
_PAPERS: tuple[Color, ...] = ((252, 250, 242), (245, 245, 245), (250, 240, 220), (238, 244, 252), (240, 250, 240))
_PLAIN, _IN_A_BUCKET, _WORN = 0.6, 0.15, 0.35


def printed(label: str, rng: random.Random) -> Drawn:
    """
    Raises:
        LatexError: the label can't be drawn.
    """
    formula = printed_formula(label, rng, _SIZES_PX_PER_EM, _PADDING_PX)
    ink, paper = colors(rng)
    image = colored(formula.coverage, ink, paper)
    canvas = "tight"
    if image.mode == "L" and paper == WHITE and rng.random() < _IN_A_BUCKET:
        image, canvas = bucket_pad(image), "bucket"
    image, effects = worn(image, rng) if rng.random() < _WORN else (image, "")
    columns = formula.columns | {"ink": hex_color(ink), "paper": hex_color(paper), "canvas": canvas, "effects": effects}
    return Drawn(image, columns)


def colors(rng: random.Random) -> tuple[Color, Color]:
    """Ink and paper, black on white most often; dark on light always."""
    if rng.random() < _PLAIN:
        return BLACK, WHITE
    return near(rng, rng.choice((BLACK, *_INKS)), 15), near(rng, rng.choice((WHITE, *_PAPERS)), 5)


def worn(image: Image.Image, rng: random.Random) -> tuple[Image.Image, str]:
    """As a scanner and a messenger leave it; and what was done, in words."""
    mode, array_rng = "L" if image.mode == "L" else "RGB", numbers(rng)
    image = image.convert("RGB")
    done = []
    for name, chance, low, high in (("blur", 0.5, 0.3, 0.8), ("noise", 0.4, 2, 10), ("jpeg", 0.5, 40, 90)):
        if rng.random() >= chance:
            continue
        amount = rng.uniform(low, high)
        if name == "blur":
            image = pixels.blurred(image, amount)
        elif name == "noise":
            image = pixels.noisy(image, amount, array_rng)
        else:
            image = pixels.through_jpeg(image, round(amount))
        done.append(f"{name} {amount:.2g}")
    return image.convert(mode), ", ".join(done)
