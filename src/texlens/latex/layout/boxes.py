"""Boxes that layout is made of, and the flat list of placed ink that comes out. Lengths are in em, y goes up."""

from collections.abc import Sequence
from typing import NamedTuple

from texlens.latex.layout.fonts import MISSING, font_file

DASHED = frozenset([":", "\\hdashline", "\\cdashline"])
"""Sources of rules that are drawn dashed."""


class PlacedGlyph(NamedTuple):
    """A glyph with its origin at (x, y), `size` em large; `source` is its LaTeX token."""

    character: str
    font: str
    glyph_id: int
    x: float
    y: float
    size: float
    source: str


class PlacedRule(NamedTuple):
    """A black box with its lower left corner at (x, y)."""

    x: float
    y: float
    width: float
    height: float
    source: str


class PlacedLine(NamedTuple):
    """A stroke from (x, y) to (x + dx, y + dy)."""

    x: float
    y: float
    dx: float
    dy: float
    thickness: float
    source: str


class Layout(NamedTuple):
    """A formula laid out: lengths in em (times `size` of the call), x to the right, y up from the baseline."""

    width: float
    height: float
    depth: float
    glyphs: tuple[PlacedGlyph, ...]
    rules: tuple[PlacedRule, ...]
    lines: tuple[PlacedLine, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """Characters that no font has, in order, each once."""
        return tuple(dict.fromkeys(glyph.character for glyph in self.glyphs if glyph.font == MISSING))

    def ink_box(self, margin: float = 0.0) -> tuple[float, float, float, float]:
        """(left, bottom, right, top) of all ink and of the formula's own box, `margin` wider on each side."""
        left, bottom, right, top = 0.0, -self.depth, self.width, self.height
        for x0, y0, x1, y1 in (
            *map(glyph_box, self.glyphs),
            *((r.x, r.y, r.x + r.width, r.y + r.height) for r in self.rules),
            *map(line_box, self.lines),
        ):
            left, bottom, right, top = min(left, x0), min(bottom, y0), max(right, x1), max(top, y1)
        return left - margin, bottom - margin, right + margin, top + margin


def glyph_box(glyph: PlacedGlyph) -> tuple[float, float, float, float]:
    """(left, bottom, right, top) of a glyph's ink."""
    _, font, glyph_id, x, y, size, _ = glyph
    metrics = font_file(font).metrics(glyph_id)
    return x + metrics[1] * size, y + metrics[2] * size, x + metrics[3] * size, y + metrics[4] * size


def line_box(line: PlacedLine) -> tuple[float, float, float, float]:
    """(left, bottom, right, top) of a stroke."""
    low, high = sorted((line.y, line.y + line.dy))
    return line.x, low, line.x + line.dx, high


def is_dashed(rule: PlacedRule) -> bool:
    return rule.source in DASHED


class Box:
    """TeX's box: immutable by convention, so that one box can be in several places.

    `italic` is the italic correction, already part of `width`; `accent` where an accent over it sits.
    `ink` is a glyph (character, font, glyph id, size, source), a stroke (dx, dy, thickness, source) or a rule
    (width, height, source).
    """

    __slots__ = ("accent", "children", "depth", "height", "ink", "italic", "width")

    def __init__(
        self,
        width: float,
        height: float,
        depth: float,
        children: tuple[tuple[float, float, "Box"], ...] | list[tuple[float, float, "Box"]] = (),
        italic: float = 0.0,
        accent: float | None = None,
        ink: tuple[str, str, int, float, str]
        | tuple[float, float, float, str]
        | tuple[float, float, str]
        | None = None,
    ):
        self.width = width
        self.height = height
        self.depth = depth
        self.children = children
        self.italic = italic
        self.accent = width / 2 if accent is None else accent
        self.ink = ink


def rule(width: float, height: float, depth: float, source: str) -> Box:
    """A black box that reaches `depth` below the baseline."""
    return Box(
        width, height, depth, ((0.0, -depth, Box(width, height + depth, 0.0, ink=(width, height + depth, source))),)
    )


def kern(width: float) -> Box:
    return Box(width, 0.0, 0.0)


def side_by_side(boxes: Sequence[Box]) -> Box:
    """Boxes from left to right on one baseline."""
    children = []
    x = height = depth = 0.0
    for box in boxes:
        children.append((x, 0.0, box))
        x += box.width
        height, depth = max(height, box.height), max(depth, box.depth)
    return Box(x, height, depth, children)


def flatten(box: Box, size: float) -> Layout:
    """Every glyph and rule in its place, from left to right as the source has them."""
    glyphs: list[PlacedGlyph] = []
    rules: list[PlacedRule] = []
    lines: list[PlacedLine] = []
    stack = [(0.0, 0.0, box)]
    while stack:
        x, y, here = stack.pop()
        ink = here.ink
        if ink is None:
            stack += [(x + dx, y + dy, child) for dx, dy, child in reversed(here.children)]
        elif len(ink) == 5:
            character, font, glyph_id, scale, source = ink
            glyphs.append(PlacedGlyph(character, font, glyph_id, x * size, y * size, scale * size, source))
        elif len(ink) == 4:
            dx, dy, thickness, source = ink
            lines.append(PlacedLine(x * size, y * size, dx * size, dy * size, thickness * size, source))
        else:
            rules.append(PlacedRule(x * size, y * size, ink[0] * size, ink[1] * size, ink[2]))
    return Layout(box.width * size, box.height * size, box.depth * size, tuple(glyphs), tuple(rules), tuple(lines))
