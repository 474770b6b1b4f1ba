"""Handwriting for pre-training: the project's own strokes by writers that the demo set has not.

The demo's eight writers are left out, and some letters are only written in their first form (`HELD_FORMS`), so that the
demo shows writers and letter forms that pre-training never did.
"""

import random
from dataclasses import replace

from PIL import Image, ImageOps

from texlens.core.errors import LatexError
from texlens.latex.generate.alphabet import words
from texlens.latex.handwriting.writer import WriterStyle, draw_handwriting, writable
from texlens.latex.layout.formula import layout
from texlens.synthesis.handwriting import bent

FIRST_WRITER, WRITERS = 100, 20_000
"""Numbers below are the demo's."""
HELD_FORMS = frozenset("4789abdeghijklmopqstuvwzAE")
"""Characters whose other forms in the stroke table pre-training never shows."""
X_HEIGHT_PX = (8.0, 30.0)
MOST_WIDTH_PX, MOST_HEIGHT_PX = 1100, 420
_EM_PER_X_HEIGHT = 1 / 0.431
_FONTS = frozenset(
    words(r"\cal \bf \mit \tt \mathsf \mathtt \mathcal \mathbf \mathbb \mathfrak \mathscr \boldsymbol \l \L \o \O")
)
"""In handwriting these look like plain letters."""


def handwritten(label: str, rng: random.Random) -> tuple[Image.Image, float] | None:
    """The label by a writer of its own, dark on white, and its pixels an em.

    None where it is too large, has a symbol without strokes, or a font that a pen does not show.
    """
    if not _FONTS.isdisjoint(label.split()):
        return None
    try:
        formula = layout(label)
    except LatexError:
        return None
    left, bottom, right, top = formula.ink_box()
    if not formula.glyphs or not writable(formula):
        return None
    largest = min(MOST_WIDTH_PX / max(right - left, 0.01), MOST_HEIGHT_PX / max(top - bottom, 0.01)) / _EM_PER_X_HEIGHT
    x_height = min(rng.triangular(*X_HEIGHT_PX, 14), largest)
    if x_height < X_HEIGHT_PX[0]:
        return None
    style = WriterStyle.of_writer(rng.randrange(FIRST_WRITER, WRITERS))
    pen_px = min(style.pen_px * rng.uniform(0.6, 1.6) * x_height / 14, 0.28 * x_height)
    style = replace(style, pen_px=max(1.0, pen_px), first_form_only=HELD_FORMS)
    image = draw_handwriting(
        formula, rng, x_height_px=x_height, style=style, padding_px=rng.uniform(3, 14), quick=rng.random() < 0.8
    )
    if rng.random() < 0.4:
        image = ImageOps.invert(bent(ImageOps.invert(image), rng, rng.uniform(0.05, 0.16) * x_height))
    return image, x_height * _EM_PER_X_HEIGHT
