"""Single glyphs as boxes: symbols, large operators, and delimiters as tall as they must be."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import ceil
from typing import Any

from texlens.latex.layout.boxes import Box, kern, side_by_side
from texlens.latex.layout.fonts import (
    DIGIT_FONTS,
    MISSING_GLYPHS,
    AnyFont,
    Construction,
    MathFont,
    Metrics,
    Part,
    fallbacks,
    font_file,
)
from texlens.latex.layout.spacing import CLASS, THIN_SPACE
from texlens.latex.parse.alphabets import styled
from texlens.latex.parse.nodes import Symbol
from texlens.latex.parse.symbols import DELIMITERS, SMALL_OPERATORS

NULL_DELIMITER = 0.12
_TEX_INTEGRAL_SLANT = (0.444, 0.1945)  # cmex10: italic correction of the integral in display and text style
_DOTS = {"…": ".", "⋯": "⋅"}
_DIGITS = frozenset("0123456789")
_MAX_CACHED = 50_000
_MOST_EXTENDERS = 100  # of a stretched glyph; so many em no page holds

State = tuple[str, bool]


class Glyphs:
    """The boxes of single glyphs in one font, kept since they never change; stretched ones are built as needed."""

    def __init__(self, font: MathFont, system_fonts: bool = False):
        self.font = font
        self.fallbacks = fallbacks(font.name, system_fonts)
        constants = font.constants
        self.constants = constants
        script, scriptscript = constants["ScriptPercentScaleDown"], constants["ScriptScriptPercentScaleDown"]
        self.sizes = (1.0, 1.0, script, scriptscript)
        self.axis = constants["AxisHeight"]
        self.thickness = constants["FractionRuleThickness"]
        self.x_height = font.metrics(font.glyph("x")).top
        self._symbols: dict[tuple[Any, ...], tuple[int, Box]] = {}
        self._glyphs: dict[tuple[Any, ...], Box] = {}

    # Glyphs

    def glyph_box(self, character: str, level: int, source: str) -> Box:
        """One character as it is, at the size of a level (0 text, 1 script, 2 scriptscript)."""
        key = (character, level, source)
        box = self._glyphs.get(key)
        if box is None:
            if len(self._glyphs) > _MAX_CACHED:
                self._glyphs.clear()
            font, glyph = self.find(character)
            if font is None:
                font, glyph = MISSING_GLYPHS, ord(character[0])
            elif isinstance(font, MathFont):
                glyph = font.script_form(glyph, level)
            box = self.box_of(character, font, glyph, self.sizes[level + 1], source)
            self._glyphs[key] = box
        return box

    def digit(self, character: str, alphabet: str, level: int, source: str) -> Box | None:
        """A digit of an alphabet whose digits are in a font of their own; None for everything else."""
        if character not in _DIGITS or alphabet not in DIGIT_FONTS:
            return None
        font = font_file(DIGIT_FONTS[alphabet])
        box = self.box_of(character, font, font.glyph(character), self.sizes[level + 1], source)
        return Box(box.width, box.height, box.depth, ((0.0, 0.0, box),), 0.0, box.accent)

    def find(self, character: str) -> tuple[AnyFont | None, int]:
        glyph = self.font.glyph(character)
        if glyph:
            return self.font, glyph
        for name in self.fallbacks:
            font = font_file(name)
            glyph = font.glyph(character)
            if glyph:
                return font, glyph
        return None, 0

    @staticmethod
    def box_of(character: str, font: AnyFont, glyph: int, scale: float, source: str) -> Box:
        m: Metrics = font.metrics(glyph)
        ink = (character, font.name, glyph, scale, source)
        return Box(
            m.advance * scale,
            max(m.top, 0.0) * scale,
            max(-m.bottom, 0.0) * scale,
            (),
            m.italic * scale,
            m.accent * scale,
            ink,
        )

    def symbol(self, node: Symbol, style: int, state: State) -> tuple[int, Box]:
        """The class and box of a symbol; the italic correction is in the width."""
        big = node.atom == "op" and style < 2
        key = (node, style >> 1 if not big else -1, state)
        class_and_box = self._symbols.get(key)
        if class_and_box is None:
            if len(self._symbols) > _MAX_CACHED:
                self._symbols.clear()
            class_and_box = self._symbols[key] = (CLASS[node.atom], self._symbol_box(node, style, state))
        return class_and_box

    def _symbol_box(self, node: Symbol, style: int, state: State) -> Box:
        level = max(0, (style >> 1) - 1)
        if node.atom == "op":
            return self._big_operator(node, style)
        if node.character in _DOTS:
            dot = self.glyph_box(_DOTS[node.character], level, node.source)
            gap = kern(THIN_SPACE if style < 4 else 0.0)
            return side_by_side((dot, gap, dot, gap, dot))
        if not state[1] and (digit := self.digit(node.character, state[0], level, node.source)):
            return digit
        character = styled(node.character, *state) if len(node.character) == 1 else node.character
        if character != node.character and not self.find(character)[1]:
            character = node.character
        box = self.glyph_box(character, level, node.source)
        upright = state[0] in ("rm", "bf", "sf", "tt")
        if box.italic and not upright:
            return Box(box.width + box.italic, box.height, box.depth, ((0.0, 0.0, box),), box.italic, box.accent)
        return Box(box.width, box.height, box.depth, ((0.0, 0.0, box),), 0.0, box.accent)

    def _big_operator(self, node: Symbol, style: int) -> Box:
        if len(node.character) > 1:
            parts = [self._big_operator(Symbol(node.source, c, "op"), style) for c in node.character]
            return side_by_side(parts)
        level = max(0, (style >> 1) - 1)
        box = self.glyph_box(node.character, level, node.source)
        if style < 2 and node.source not in SMALL_OPERATORS:
            construction = self.font.vertical.get(self.font.glyph(node.character))
            for glyph, size in construction.variants if construction else ():
                if size >= self.constants["DisplayOperatorMinHeight"]:
                    box = self.box_of(node.character, self.font, glyph, 1.0, node.source)
                    break
        shift = self.axis * self.sizes[style >> 1] - (box.height - box.depth) / 2
        italic = box.italic
        if italic and self.font.name == "latin-modern":
            italic = _TEX_INTEGRAL_SLANT[0 if style < 2 else 1] * self.sizes[style >> 1]
        return Box(box.width, box.height + shift, box.depth - shift, ((0.0, shift, box),), italic, box.accent)

    def stretched(self, character: str, least: float, scale: float, source: str, vertical: bool = True) -> Box:
        """The smallest form of a glyph that measures at least `least`, or the largest there is."""
        table = self.font.vertical if vertical else self.font.horizontal
        glyph = self.font.glyph(character)
        construction = table.get(glyph) or Construction((), ())
        if not glyph:
            box = self.glyph_box(character, 0, source)
            return Box(box.width, box.height, box.depth, ((0.0, 0.0, box),))
        least = least / scale
        for variant, size in construction.variants:
            if size >= least - 0.008:
                return self.box_of(character, self.font, variant, scale, source)
        if construction.parts:
            return self._assembled(character, construction, least, scale, source, vertical)
        last = construction.variants[-1][0] if construction.variants else glyph
        return self.box_of(character, self.font, last, scale, source)

    def _assembled(
        self, character: str, construction: Construction, least: float, scale: float, source: str, vertical: bool
    ) -> Box:
        """Pieces overlapped end to end, with as many extenders as it takes."""
        parts, overlaps = _joined(construction.parts, least, self.font.overlap)
        children, at, across, below = [], 0.0, 0.0, 0.0
        for part, overlap in zip(parts, overlaps, strict=True):
            box = self.box_of(character, self.font, part.glyph, scale, source)
            metrics = self.font.metrics(part.glyph)
            if vertical:
                children.append((0.0, at - metrics.bottom * scale, box))
                across = max(across, box.width)
            else:
                children.append((at - metrics.left * scale, 0.0, box))
                across, below = max(across, box.height), max(below, box.depth)
            at += (part.full_advance - overlap) * scale
        return Box(across, at, 0.0, children) if vertical else Box(at, across, below, children)

    def delimiter(self, token: str, least: float, style: int) -> Box:
        """A delimiter of at least that total height, centered on the axis."""
        character = DELIMITERS.get(token, token)
        if character == "":
            return kern(NULL_DELIMITER)
        scale = self.sizes[style >> 1]
        box = self.stretched(character, least, scale, token)
        shift = self.axis * scale - (box.height - box.depth) / 2
        return Box(box.width, box.height + shift, box.depth - shift, ((0.0, shift, box),))

    def fence_size(self, boxes: Iterable[Box], style: int) -> float:
        axis = self.axis * self.sizes[style >> 1]
        reach = 0.0
        for box in boxes:
            reach = max(reach, box.height - axis, box.depth + axis)
        return max(2 * reach * 0.901, 2 * reach - 0.5)


def _joined(parts: Sequence[Part], least: float, overlap: float) -> tuple[list[Part], list[float]]:
    """The pieces of a stretched glyph, extenders repeated, and how far each reaches into the next (the last: 0)."""
    extenders = [part for part in parts if part.is_extender]
    advance = sum(part.full_advance - overlap for part in extenders)
    base = sum(part.full_advance - overlap for part in parts if not part.is_extender) + overlap
    repeats = 0 if advance <= 0 else max(0, min(_MOST_EXTENDERS, ceil((least - base) / advance)))
    if len(extenders) == len(parts):
        repeats = max(1, repeats)
    pieces = [part for part in parts for _ in range(repeats if part.is_extender else 1)]
    most = [max(overlap, min(a.end_connector, b.start_connector)) for a, b in pairwise(pieces)]
    excess = base + repeats * advance - least
    slack = sum(most) - overlap * len(most)
    share = max(0.0, min(1.0, excess / slack)) if slack > 0 else 0.0
    return pieces, [*(overlap + share * (limit - overlap) for limit in most), 0.0]
