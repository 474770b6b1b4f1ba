"""200 formulas by engines and fonts that pre-training never draws with, each row with its engine, font and kind.

MathJax 3 and the browser's own MathML (XITS, Concrete, GFS Neohellenic) need node, Chromium and the fonts; matplotlib's
mathtext draws in its Computer Modern, STIX 1, DejaVu Serif and DejaVu Sans. Labels are LaTeX_OCR test labels and the
formulas with rare commands in `rare.txt`.
"""

import io
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from reading_sets.browser import browser_mathml, mathjax_svg, pictures

RARE = tuple(Path(__file__).with_name("rare.txt").read_text(encoding="utf-8").splitlines())
TIMES, DEJAVU, OTHER = "Times-like", "DejaVu", "other"
MATHTEXT = {"stix": TIMES, "dejavuserif": DEJAVU, "dejavusans": DEJAVU, "cm": OTHER, "stixsans": OTHER}
"""matplotlib's font sets and their families."""
BROWSER_FONTS = {"XITSMath-Regular.otf": TIMES, "Concrete-Math.otf": OTHER, "GFSNeohellenicMath.otf": OTHER}
_BROWSER_COUNTS = {"XITSMath-Regular.otf": (18, 6), "Concrete-Math.otf": (12, 4), "GFSNeohellenicMath.otf": (12, 4)}
"""Rows with ordinary and with rare formulas."""
SIZES_PX = (14, 16, 18, 20, 24, 32)
_UNEVEN = re.compile(r"\\[!, :;]|\\ |\||\\raisebox|phantom|~|\\quad|\\qquad|\\rm\b|\\it\b|\\lefteqn|\\hspace|style")
"""Labels with hand-set space, bars or style switches: engines differ in what they show for them."""
_MARGIN_PX = 6
_LARGEST = 1100, 240


@dataclass(frozen=True)
class TypesetRow:
    """A gray picture cut to its ink, its label, and how it was typeset."""

    image: Image.Image
    label: str
    engine: str
    font: str
    family: str
    is_rare: bool


def engine_rows(labels: Sequence[str], node_modules: Path, fonts: Path, seed: str = "held 41") -> list[TypesetRow]:
    """200 rows: a quarter with rare commands; 40 each in Times-like and DejaVu fonts at least."""
    rng = random.Random(seed)
    labels = [label for label in labels if not _UNEVEN.search(label)]
    usual = iter(rng.sample(list(labels), len(labels)))
    rare = lambda: iter(rng.sample(RARE, len(RARE)))  # noqa: E731
    rows: list[TypesetRow] = []
    for name, (ordinary, rarely) in _BROWSER_COUNTS.items():
        rows += _browser_rows(name, fonts, usual, ordinary, rng, False)
        rows += _browser_rows(name, fonts, rare(), rarely, rng, True)
    rows += _mathjax_rows(node_modules, usual, 45, rng, False) + _mathjax_rows(node_modules, rare(), 11, rng, True)
    for font, count in (("stix", 28), ("dejavuserif", 20), ("dejavusans", 20), ("cm", 12), ("stixsans", 12)):
        rows += _take(_mathtext(font, iter(rng.sample(list(labels), len(labels))), rng, False), count - 5)
        rows += _take(_mathtext(font, rare(), rng, True), 5)
    return rows


def _take(rows: Iterator[TypesetRow], count: int) -> list[TypesetRow]:
    return [row for row, _ in zip(rows, range(count), strict=False)]


def _mathtext(font: str, labels: Iterator[str], rng: random.Random, is_rare: bool) -> Iterator[TypesetRow]:
    for label in labels:
        size = rng.choice(SIZES_PX)
        image = _trimmed(mathtext_picture(label, font, size))
        if image is not None:
            yield TypesetRow(image, label, "mathtext", font, MATHTEXT[font], is_rare)


def mathtext_picture(label: str, font: str, size_px: float) -> Image.Image | None:
    """By matplotlib; None where its mathtext lacks something."""
    from matplotlib import mathtext, rc_context
    from matplotlib.font_manager import FontProperties

    text = (
        label.replace("{ \\cal ", "\\mathcal { ").replace("{ \\bf ", "\\mathbf { ").replace("\\boldsymbol", "\\mathbf")
    )
    text = re.sub(r"\s*([_^{}])\s*", r"\1", _display_fractions(text))
    try:
        with rc_context({"mathtext.fontset": font}):
            file = io.BytesIO()
            properties = FontProperties(size=size_px * 0.72)
            mathtext.math_to_image(f"${text}$", file, prop=properties, dpi=100, format="png")
    except (ValueError, RuntimeError, KeyError):
        return None
    return Image.open(file).convert("L")


def _display_fractions(text: str) -> str:
    r"""`\dfrac` for fractions on the line, which mathtext draws as small as in running text."""
    depth, out = 0, []
    for token in text.split(" "):
        depth += (token == "{") - (token == "}")
        out.append("\\dfrac" if token == "\\frac" and depth == 0 else token)
    return " ".join(out)


def _browser_rows(
    name: str, fonts: Path, labels: Iterator[str], count: int, rng: random.Random, is_rare: bool
) -> list[TypesetRow]:
    size = rng.choice(SIZES_PX)
    chosen = [label for label, _ in zip(labels, range(2 * count if not is_rare else count + 3), strict=False)]
    pairs = [(label, html) for label, html in zip(chosen, browser_mathml(chosen), strict=True) if html]
    images = pictures([html for _, html in pairs], size, font=fonts / name)
    whole = [(label, image) for (label, _), image in zip(pairs, map(_trimmed, images), strict=True) if image]
    return [TypesetRow(image, label, "browser", name, BROWSER_FONTS[name], is_rare) for label, image in whole[:count]]


def _mathjax_rows(
    node_modules: Path, labels: Iterator[str], count: int, rng: random.Random, is_rare: bool
) -> list[TypesetRow]:
    chosen = [label for label, _ in zip(labels, range(count + 20), strict=False)]
    pairs = [(label, svg) for label, svg in zip(chosen, mathjax_svg(chosen, node_modules), strict=True) if svg]
    rows: list[TypesetRow] = []
    for start in range(0, len(pairs), 16):
        part = pairs[start : start + 16]
        images = pictures([svg for _, svg in part], rng.choice(SIZES_PX))
        for (label, _), image in zip(part, map(_trimmed, images), strict=True):
            if image:
                rows.append(TypesetRow(image, label, "mathjax", "MathJax TeX", OTHER, is_rare))
    return rows[:count]


def _trimmed(image: Image.Image | None) -> Image.Image | None:
    """Cut to the ink with a small margin; None for blank, cut or huge ones."""
    if image is None:
        return None
    gray = np.asarray(image)
    rows, columns = np.flatnonzero((gray < 160).any(axis=1)), np.flatnonzero((gray < 160).any(axis=0))
    if not len(rows) or columns[-1] >= gray.shape[1] - 2 or rows[-1] >= gray.shape[0] - 2:
        return None
    cut = image.crop((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    if cut.width > _LARGEST[0] or cut.height > _LARGEST[1]:
        return None
    return ImageOps.expand(cut, _MARGIN_PX, 255)
