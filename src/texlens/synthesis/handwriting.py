"""Handwritten formulas: our own strokes by thousands of synthetic writers, slightly warped, on plain or lined paper."""

import random
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from texlens.core.errors import LatexError
from texlens.latex.handwriting.writer import WriterStyle, draw_handwriting
from texlens.latex.layout.formula import layout
from texlens.synthesis.drawn import MAX_HEIGHT_PX, MAX_WIDTH_PX, WHITE, Color, Drawn, colored, hex_color, near

WRITERS = 10_000
_X_HEIGHT_PX = (11.0, 28.0)
_MIN_X_HEIGHT_PX = 8.0
_EM_PER_X_HEIGHT = 1 / 0.431
_INKS: tuple[Color, ...] = ((15, 15, 20), (15, 15, 20), (20, 40, 130), (30, 60, 170), (70, 70, 75), (120, 25, 30))
_PAPERS: tuple[Color, ...] = (WHITE, WHITE, (250, 247, 236), (244, 244, 240), (240, 243, 248))
_RULINGS = {"plain": 0.6, "lines": 0.2, "grid": 0.15, "dots": 0.05}
_LINE: Color = (190, 208, 232)
_BEND_PX = 0.12
"""Share of the x-height that the whole is bent by."""


def handwriting(label: str, rng: random.Random) -> Drawn:
    """
    Raises:
        LatexError: the label can't be laid out, is too large, or has a symbol without strokes.
    """
    formula = layout(label)
    writer = rng.randrange(WRITERS)
    left, bottom, right, top = formula.ink_box()
    largest = min(MAX_WIDTH_PX / max(right - left, 0.01), MAX_HEIGHT_PX / max(top - bottom, 0.01)) / _EM_PER_X_HEIGHT
    if largest < _MIN_X_HEIGHT_PX:
        raise LatexError(f"the formula is too large for {MAX_WIDTH_PX} x {MAX_HEIGHT_PX} pixels; shorten it")
    x_height = round(min(rng.uniform(*_X_HEIGHT_PX), largest), 1)
    style = WriterStyle.of_writer(writer)
    pen_px = round(min(style.pen_px * rng.uniform(0.8, 1.2) * x_height / 14, 0.25 * x_height), 2)
    style, padding = replace(style, pen_px=pen_px), rng.uniform(5, 20)
    picture = draw_handwriting(formula, rng, x_height_px=x_height, style=style, padding_px=padding, quick=True)
    coverage = bent(ImageOps.invert(picture), rng, _BEND_PX * x_height)
    ink, paper = near(rng, rng.choice(_INKS), 12), near(rng, rng.choice(_PAPERS), 4)
    ruling = rng.choices(list(_RULINGS), list(_RULINGS.values()))[0]
    sheet = paper if ruling == "plain" else ruled(coverage.size, paper, ruling, rng, x_height)
    columns = {"writer": writer, "x_height_px": x_height, "pen_px": pen_px, "ruling": ruling}
    return Drawn(colored(coverage, ink, sheet), columns | {"ink": hex_color(ink), "paper": hex_color(paper)})


def bent(coverage: Image.Image, rng: random.Random, amount_px: float) -> Image.Image:
    """The whole moved by up to `amount_px` here and there, smoothly, on a canvas larger by as much on each side."""
    margin = int(amount_px) + 1
    padded = ImageOps.expand(coverage, margin, 0)
    columns, rows = max(1, padded.width // 48), max(1, padded.height // 48)
    array_rng = np.random.default_rng(rng.getrandbits(64))
    xs, ys = np.linspace(0, padded.width, columns + 1).round(), np.linspace(0, padded.height, rows + 1).round()
    moved = array_rng.uniform(-amount_px, amount_px, (rows + 1, columns + 1, 2))
    corners = np.stack(np.meshgrid(xs, ys), axis=-1) + moved
    mesh = [
        (
            (int(xs[c]), int(ys[r]), int(xs[c + 1]), int(ys[r + 1])),
            (*corners[r, c], *corners[r + 1, c], *corners[r + 1, c + 1], *corners[r, c + 1]),
        )
        for r in range(rows)
        for c in range(columns)
    ]
    return padded.transform(padded.size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)


def ruled(size: tuple[int, int], paper: Color, ruling: str, rng: random.Random, x_height: float) -> Image.Image:
    """Paper with pale lines, squares or dots, much lighter than any ink."""
    sheet = Image.new("RGB", size, paper)
    canvas = ImageDraw.Draw(sheet)
    color = near(rng, _LINE, 14)
    step = x_height * (rng.uniform(3.2, 4.5) if ruling == "lines" else rng.uniform(1.4, 2.4))
    across, down = rng.uniform(0, step), rng.uniform(0, step)
    xs = [across + step * i for i in range(int(size[0] / step) + 1)]
    ys = [down + step * i for i in range(int(size[1] / step) + 1)]
    if ruling == "dots":
        for x in xs:
            for y in ys:
                canvas.ellipse((x - 1, y - 1, x + 1, y + 1), fill=color)
        return sheet
    for y in ys:
        canvas.line((0, y, size[0], y), fill=color)
    for x in xs if ruling == "grid" else ():
        canvas.line((x, 0, x, size[1]), fill=color)
    return sheet
