r"""Handwritten formulas: pen strokes fitted to the boxes of a layout's glyphs and rules.

`draw_handwriting(layout(formula), rng, style=WriterStyle.of_writer(3))` is a gray ('L') image. A writer is a set of
habits (slant, proportions, steadiness, form of each letter); `rng` varies each formula.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from unicodedata import decomposition

from PIL import Image, ImageDraw

from texlens.core.errors import LatexError
from texlens.latex.layout.boxes import Layout, PlacedGlyph, PlacedRule, glyph_box

_STROKES = Path(__file__).with_name("strokes.txt")
_UNITS = 20.0
_X_HEIGHT_EM = 0.431
_OVERSAMPLING = 3
_STEPS_PER_SPAN = 7
_SHARP = 0.466
"""The tangent of 25 degrees."""
_FLAT_EM = 0.12
"""A box flatter than this (a minus, a bar) gets no random change of size."""
_SCRIPT_BELOW = 0.9
_SCRIPT_SHRINK, _SCRIPT_SHIFT = 0.12, 0.05

Point = tuple[float, float]


class Stroke(NamedTuple):
    """Points to draw a smooth curve through; at the indices in `corners` the stroke has a corner."""

    points: tuple[Point, ...]
    corners: tuple[int, ...]


@dataclass(frozen=True)
class WriterStyle:
    """One writer's habits. Lengths are in em unless named otherwise."""

    pen_px: float = 2.2
    slant: float = 0.0
    """Shift to the right for each unit of height."""
    widen: float = 1.0
    """Width of letters over that of print."""
    wobble: float = 0.025
    """How far the points of a stroke stray."""
    size_wobble: float = 0.07
    """Relative; letters of one formula differ so much in size."""
    turn: float = 0.05
    """Radians by which single letters are turned."""
    drift: float = 0.04
    """How far the base line wanders up and down."""
    tilt: float = 0.0
    """Rise of the whole line for each unit of length."""
    overshoot: float = 0.04
    """By how much fraction bars and roots are too long or too short."""
    forms: int = 0
    """Seed of the writer's choice among the forms of each letter."""
    first_form_only: frozenset[str] = frozenset()
    """Characters that this writer only writes in the first form of the table."""

    @classmethod
    def of_writer(cls, number: int) -> "WriterStyle":
        """The habits of writer `number`, always the same."""
        rng = random.Random(f"writer {number}")
        return cls(
            pen_px=rng.uniform(1.6, 2.8),
            slant=rng.gauss(0.06, 0.12),
            widen=rng.uniform(0.92, 1.14),
            wobble=rng.uniform(0.012, 0.036),
            size_wobble=rng.uniform(0.04, 0.1),
            turn=rng.uniform(0.02, 0.08),
            drift=rng.uniform(0.01, 0.06),
            tilt=rng.gauss(0, 0.012),
            overshoot=rng.uniform(0.02, 0.1),
            forms=number,
        )


@cache
def stroke_table() -> dict[str, tuple[tuple[Stroke, ...], ...]]:
    """Character → the ways to write it, each a tuple of strokes; read from `strokes.txt`."""
    table: dict[str, list[tuple[Stroke, ...]]] = {}
    for line in _STROKES.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("# "):
            character, strokes = line[0], line[2:]
            table.setdefault(character, []).append(tuple(_stroke(text) for text in strokes.split(" / ")))
    return {character: tuple(forms) for character, forms in table.items()}


def _stroke(text: str) -> Stroke:
    points, corners = [], []
    for index, word in enumerate(text.split()):
        if word.endswith("!"):
            corners.append(index)
        x, y = word.rstrip("!").split(",")
        points.append((int(x) / _UNITS, int(y) / _UNITS))
    return Stroke(tuple(points), tuple(corners))


def writable(formula: Layout) -> bool:
    """Whether there are strokes for every glyph of a formula."""
    table = stroke_table()
    return all(_plain(glyph.character) in table for glyph in formula.glyphs)


def draw_handwriting(
    formula: Layout,
    rng: random.Random,
    *,
    x_height_px: float = 14.0,
    style: WriterStyle | None = None,
    padding_px: float = 6.0,
    quick: bool = False,
) -> Image.Image:
    """The formula in this writer's style: dark on white, all ink inside the image.

    Args:
        quick: round only sharp corners; twice as fast, with hardly a visible difference.

    Raises:
        LatexError: a symbol has no strokes.
    """
    style = style or WriterStyle()
    writer = _Writer(style, rng)
    lines = [writer.moved(curve(stroke)) for stroke in _strokes(formula, writer)]
    if not lines:
        return Image.new("L", (round(4 * padding_px), round(4 * padding_px)), 255)
    return _inked(lines, x_height_px / _X_HEIGHT_EM, style.pen_px, padding_px, quick)


class _Writer:
    """The random variation of one writer in one formula; lengths in em."""

    def __init__(self, style: WriterStyle, rng: random.Random):
        self.style, self.rng = style, rng
        self.phase, self.wave = rng.uniform(0, math.tau), rng.uniform(3.0, 7.0)
        self.tilt = style.tilt + rng.gauss(0, 0.006)
        self.slant = style.slant + rng.gauss(0, 0.02)

    def form(self, character: str) -> tuple[Stroke, ...]:
        """The writer's own form of a character, sometimes another one."""
        forms = stroke_table()[character]
        if character in self.style.first_form_only:
            return forms[0]
        preferred = random.Random(f"{self.style.forms} {character}").randrange(len(forms))
        return forms[preferred if self.rng.random() < 0.93 else self.rng.randrange(len(forms))]

    def placed(self, form: tuple[Stroke, ...], box: tuple[float, float, float, float]) -> Iterator[Stroke]:
        """The strokes of a form in a box (left, bottom, right, top), sized, turned, slanted and shaken."""
        style, gauss = self.style, self.rng.gauss
        left, bottom, right, top = box
        width, height = right - left, top - bottom
        middle_x, middle_y = (left + right) / 2 + gauss(0, 0.012), (bottom + top) / 2 + gauss(0, 0.015)
        wobbles = max(width, height) > _FLAT_EM
        scale_x = width * style.widen * (1 + gauss(0, style.size_wobble)) if wobbles else width
        scale_y = height * (1 + gauss(0, style.size_wobble)) if wobbles else height
        turn = gauss(0, style.turn)
        shake = style.wobble * min(1.3, 0.45 + max(width, height) / 1.4)
        cos, sin = math.cos(turn), math.sin(turn)
        for points, corners in form:
            moved = []
            for x, y in points:
                x, y = (x - 0.5) * scale_x, (y - 0.5) * scale_y
                x, y = x * cos - y * sin + gauss(0, shake), x * sin + y * cos + gauss(0, shake)
                moved.append((middle_x + x + self.slant * y, middle_y + y))
            yield Stroke(tuple(moved), corners)

    def bar(self, rule: PlacedRule) -> Stroke:
        """A handwritten fraction bar or overline: a little too long, tilted and bent."""
        over, gauss = self.style.overshoot, self.rng.gauss
        left, right = rule.x - abs(gauss(0, over)), rule.x + rule.width + gauss(0.3 * over, over)
        right = max(right, left + 0.6 * rule.width)
        y, bend = rule.y + rule.height / 2, min(0.05, 0.02 + 0.006 * rule.width)
        points = [(left + (right - left) * part, y + gauss(0, bend)) for part in (0.0, 0.35, 0.7, 1.0)]
        return Stroke(tuple(points), ())

    def moved(self, line: list[Point]) -> list[Point]:
        """A finished line, shifted with the baseline's drift and tilt."""
        drift, phase, wave, tilt = self.style.drift, self.phase, self.wave, self.tilt
        return [(x, y + drift * math.sin(phase + x * math.tau / wave) + tilt * x) for x, y in line]


def _strokes(formula: Layout, writer: _Writer) -> Iterator[Stroke]:
    """All strokes of a formula; a root's sign and bar are one stroke."""
    rules = list(formula.rules)
    for character, box in characters_of(formula):
        if character not in stroke_table():
            raise LatexError(f"no strokes for {character!r}; leave it out or add it to {_STROKES.name}")
        strokes = writer.placed(writer.form(character), box)
        roof = _roof(rules, box) if character == "√" else None
        if roof is None:
            yield from strokes
        else:
            rules.remove(roof)
            sign, bar = next(strokes), writer.bar(roof)
            yield Stroke(sign.points + bar.points[1:], (*sign.corners, len(sign.points) - 1))
    yield from map(writer.bar, rules)
    for line in formula.lines:
        yield Stroke(((line.x, line.y), (line.x + line.dx, line.y + line.dy)), ())


def characters_of(formula: Layout) -> Iterator[tuple[str, tuple[float, float, float, float]]]:
    """Each character with its ink box; the pieces of a tall bracket are joined."""
    pending: tuple[str, tuple[float, float, float, float]] | None = None
    origin: tuple[float, str] | None = None
    for glyph in formula.glyphs:
        character, box = _plain(glyph.character), _smaller(glyph) if glyph.size < _SCRIPT_BELOW else glyph_box(glyph)
        if pending and origin == (glyph.x, glyph.source) and _touch(pending[1], box):
            old = pending[1]
            box = min(old[0], box[0]), min(old[1], box[1]), max(old[2], box[2]), max(old[3], box[3])
        elif pending:
            yield pending
        pending, origin = (character, box), (glyph.x, glyph.source)
    if pending:
        yield pending


def _touch(box: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return box[1] <= other[3] + 0.01 and other[1] <= box[3] + 0.01


def _smaller(glyph: PlacedGlyph) -> tuple[float, float, float, float]:
    """The box of a script, smaller and further from the line, as handwritten scripts are."""
    left, bottom, right, top = glyph_box(glyph)
    width, height = (right - left) * (1 - _SCRIPT_SHRINK), (top - bottom) * (1 - _SCRIPT_SHRINK)
    middle = (left + right) / 2
    if glyph.y < 0:
        return middle - width / 2, bottom - _SCRIPT_SHIFT, middle + width / 2, bottom - _SCRIPT_SHIFT + height
    return middle - width / 2, top + _SCRIPT_SHIFT - height, middle + width / 2, top + _SCRIPT_SHIFT


def _roof(rules: list[PlacedRule], box: tuple[float, float, float, float]) -> PlacedRule | None:
    """The rule that a root's sign runs into."""
    for rule in rules:
        if abs(rule.x - box[2]) < 0.05 and abs(rule.y + rule.height - box[3]) < 0.08:
            return rule
    return None


def _plain(character: str) -> str:
    """The letter behind a mathematical italic, bold or upright one."""
    parts = decomposition(character[:1]).split()
    return chr(int(parts[1], 16)) if len(parts) == 2 and parts[0] == "<font>" else character


def curve(stroke: Stroke) -> list[Point]:
    """A Catmull-Rom curve through the points of a stroke, broken at its corners."""
    bounds = [0, *stroke.corners, len(stroke.points) - 1]
    line = [stroke.points[0]]
    for first, last in pairwise(bounds):
        points = stroke.points[first : last + 1]
        if len(points) < 2:
            continue
        padded = (points[0], *points, points[-1])
        for before, start, end, after in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
            line += [_between(before, start, end, after, step / _STEPS_PER_SPAN) for step in range(1, _STEPS_PER_SPAN)]
            line.append(end)
    return line


def _between(a: Point, b: Point, c: Point, d: Point, t: float) -> Point:
    """The uniform Catmull-Rom spline from b (t = 0) to c (t = 1)."""
    x, y = (
        b[i]
        + 0.5 * t * (c[i] - a[i] + t * (2 * a[i] - 5 * b[i] + 4 * c[i] - d[i] + t * (3 * (b[i] - c[i]) + d[i] - a[i])))
        for i in (0, 1)
    )
    return x, y


def _inked(lines: list[list[Point]], px_per_em: float, pen_px: float, padding_px: float, quick: bool) -> Image.Image:
    """Lines in em drawn with a round tip, oversampled and then reduced."""
    scale = px_per_em * _OVERSAMPLING
    margin = (padding_px + pen_px / 2) * _OVERSAMPLING
    xs, ys = [x for line in lines for x, _ in line], [y for line in lines for _, y in line]
    left, top = min(xs), max(ys)
    width = math.ceil(((max(xs) - left) * scale + 2 * margin) / _OVERSAMPLING)
    height = math.ceil(((top - min(ys)) * scale + 2 * margin) / _OVERSAMPLING)
    large = Image.new("L", (width * _OVERSAMPLING, height * _OVERSAMPLING), 255)
    canvas = ImageDraw.Draw(large)
    thickness = max(1, round(pen_px * _OVERSAMPLING))
    radius = thickness / 2
    for line in lines:
        pixels = [((x - left) * scale + margin, (top - y) * scale + margin) for x, y in line]
        canvas.line(pixels, fill=0, width=thickness, joint=None if quick else "curve")
        for x, y in (pixels[0], pixels[-1], *(_turns(pixels) if quick else ())):
            canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=0)
    return large.reduce(_OVERSAMPLING)


def _turns(points: list[Point]) -> Iterator[Point]:
    """Where a line turns by more than 25 degrees."""
    for (x0, y0), (x1, y1), (x2, y2) in zip(points, points[1:], points[2:], strict=False):
        ahead = (x1 - x0) * (x2 - x1) + (y1 - y0) * (y2 - y1)
        aside = (x1 - x0) * (y2 - y1) - (y1 - y0) * (x2 - x1)
        if abs(aside) > _SHARP * ahead:
            yield x1, y1
