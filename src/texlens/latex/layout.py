"""A formula laid out as TeX would: Appendix G of The TeXbook with the constants of an OpenType MATH table.

Styles are numbered 0 display, 2 text, 4 script, 6 scriptscript; odd ones are cramped.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import pairwise
from math import ceil
from typing import Any
from unicodedata import normalize

from texlens.core.errors import LatexError
from texlens.latex import matrices
from texlens.latex.alphabets import styled
from texlens.latex.boxes import Box, Layout, PlacedGlyph, PlacedRule, flatten, glyph_box, kern, rule
from texlens.latex.fonts import (
    TEX_ACCENT_HEIGHTS,
    Construction,
    FontFile,
    MathFont,
    Metrics,
    Part,
    fallbacks,
    font_file,
    math_font,
)
from texlens.latex.nodes import (
    Accent,
    Arrow,
    Bar,
    Big,
    Boxed,
    Classed,
    Delimited,
    FontChange,
    FontSwitch,
    Fraction,
    Macro,
    Matrix,
    Middle,
    Multicolumn,
    Negated,
    Node,
    Operator,
    Phantom,
    Radical,
    Raised,
    Row,
    Scripts,
    Space,
    Stack,
    Stretch,
    StyleChange,
    Symbol,
    Text,
)
from texlens.latex.parse import parse
from texlens.latex.symbols import BIG, BRACES, DELIMITERS, LIMIT_OPERATORS, SMALL_OPERATORS, UNDER_ACCENTS

__all__ = ["Layout", "PlacedGlyph", "PlacedRule", "glyph_box", "layout"]

ORD, OP, BIN, REL, OPEN, CLOSE, PUNCT, INNER = range(8)
_CLASS = {name: i for i, name in enumerate(("ord", "op", "bin", "rel", "open", "close", "punct", "inner"))}
_SPACE, _MIDDLE = -1, -2
# TeXbook p. 170, a row for the left neighbour's class. 1: thin space; in display and text style only,
# 4: thin, 5: medium, 6: thick.
_GAPS = ("01560004", "11060004", "55005005", "66006006", "00000000", "01560004", "44044444", "41564044")
_THIN, _MEDIUM, _THICK = 3 / 18, 4 / 18, 5 / 18
_GAP_WIDTH = {"0": 0.0, "1": _THIN, "4": _THIN, "5": _MEDIUM, "6": _THICK}
_MU_SPACES = frozenset(
    ["\\,", "\\:", "\\;", "\\!", "\\>", "\\mkern", "\\mskip", "\\mspace", "\\thickspace", "\\medspace"]
)
_NULL_DELIMITER = 0.12
_TEX_INTEGRAL_SLANT = (0.444, 0.1945)  # cmex10: italic correction of the integral in display and text style
_TEXT_SIZED = frozenset(["\\mbox", "\\hbox", "\\makebox"])
_DOTS = {"…": ".", "⋯": "⋅"}
_COMBINING_SLASH = "\u0338"
_MAX_CACHED = 50_000

State = tuple[str, bool]
Atom = tuple[int, Box, int]


def layout(formula: str | Node, *, font: str = "latin-modern", size: float = 1.0, display: bool = True) -> Layout:
    """Where every glyph and rule of a formula goes.

    Lengths are in em times `size`. `font` is one of `fonts.FONT_NAMES`; `display` chooses display over text style.

    Raises:
        LatexError: the formula does not parse (`parse` tells what is refused), or the font is unknown.
    """
    node = parse(formula) if isinstance(formula, str) else formula
    return flatten(_engine(font).node(node, 0 if display else 2, ("", False)), size)


@cache
def _engine(font: str) -> "Engine":
    return Engine(math_font(font))


def _superscript_style(style: int) -> int:
    return (4 if style < 4 else 6) | (style & 1)


def _subscript_style(style: int) -> int:
    return (4 if style < 4 else 6) | 1


def _nucleus(node: Node | None) -> Node | None:
    """What TeX takes as nucleus: a group of one ordinary atom is that atom."""
    while True:
        if isinstance(node, Row) and node.braced:
            inner = [item for item in node.items if not isinstance(item, FontSwitch)]
            if len(inner) != 1 or (isinstance(inner[0], Symbol) and inner[0].atom != "ord"):
                return node
            node = inner[0]
        elif isinstance(node, FontChange | Accent):
            node = node.body
        else:
            return node


def _is_character(node: Node | None) -> bool:
    nucleus = _nucleus(node)
    return isinstance(nucleus, Symbol) and nucleus.atom != "op"


def _class_of(node: Node) -> int:
    r"""The atom class that `\overset` and kin take from their base."""
    if isinstance(node, Row) and len(node.items) == 1:
        node = node.items[0]
    if isinstance(node, Symbol):
        return _CLASS[node.atom]
    return _CLASS[node.atom] if isinstance(node, Classed) else ORD


class Engine:
    """Layout with one font; holds the boxes of single glyphs, which never change."""

    def __init__(self, font: MathFont):
        self.font = font
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
            font, glyph = self._find(character)
            if font is None:
                box = _missing(self.sizes[level + 1], source)
            else:
                if isinstance(font, MathFont):
                    glyph = font.script_form(glyph, level)
                box = self._box_of(character, font, glyph, self.sizes[level + 1], source)
            self._glyphs[key] = box
        return box

    def _find(self, character: str) -> tuple[FontFile | None, int]:
        glyph = self.font.glyph(character)
        if glyph:
            return self.font, glyph
        for name in fallbacks(self.font.name):
            try:
                font = font_file(name)
            except LatexError:
                continue
            glyph = font.glyph(character)
            if glyph:
                return font, glyph
        return None, 0

    @staticmethod
    def _box_of(character: str, font: FontFile, glyph: int, scale: float, source: str) -> Box:
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
        found = self._symbols.get(key)
        if found is None:
            if len(self._symbols) > _MAX_CACHED:
                self._symbols.clear()
            found = self._symbols[key] = (_CLASS[node.atom], self._symbol_box(node, style, state))
        return found

    def _symbol_box(self, node: Symbol, style: int, state: State) -> Box:
        level = max(0, (style >> 1) - 1)
        if node.atom == "op":
            return self._big_operator(node, style)
        if node.character in _DOTS:
            dot = self.glyph_box(_DOTS[node.character], level, node.source)
            gap = kern(_THIN if style < 4 else 0.0)
            return _side_by_side((dot, gap, dot, gap, dot))
        character = styled(node.character, *state) if len(node.character) == 1 else node.character
        if character != node.character and not self._find(character)[1]:
            character = node.character
        box = self.glyph_box(character, level, node.source)
        upright = state[0] in ("rm", "bf", "sf", "tt")
        if box.italic and not upright:
            return Box(box.width + box.italic, box.height, box.depth, ((0.0, 0.0, box),), box.italic, box.accent)
        return Box(box.width, box.height, box.depth, ((0.0, 0.0, box),), 0.0, box.accent)

    def _big_operator(self, node: Symbol, style: int) -> Box:
        if len(node.character) > 1:
            parts = [self._big_operator(Symbol(node.source, c, "op"), style) for c in node.character]
            return _side_by_side(parts)
        level = max(0, (style >> 1) - 1)
        box = self.glyph_box(node.character, level, node.source)
        if style < 2 and node.source not in SMALL_OPERATORS:
            construction = self.font.vertical.get(self.font.glyph(node.character))
            for glyph, size in construction.variants if construction else ():
                if size >= self.constants["DisplayOperatorMinHeight"]:
                    box = self._box_of(node.character, self.font, glyph, 1.0, node.source)
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
                return self._box_of(character, self.font, variant, scale, source)
        if construction.parts:
            return self._assembled(character, construction, least, scale, source, vertical)
        last = construction.variants[-1][0] if construction.variants else glyph
        return self._box_of(character, self.font, last, scale, source)

    def _assembled(
        self, character: str, construction: Construction, least: float, scale: float, source: str, vertical: bool
    ) -> Box:
        """Pieces overlapped end to end, with as many extenders as it takes."""
        parts, overlaps = _joined(construction.parts, least, self.font.overlap)
        children, at, across, below = [], 0.0, 0.0, 0.0
        for part, overlap in zip(parts, overlaps, strict=True):
            box = self._box_of(character, self.font, part.glyph, scale, source)
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
        """A delimiter of at least that total height, centred on the axis."""
        character = DELIMITERS.get(token, token)
        if character == "":
            return kern(_NULL_DELIMITER)
        scale = self.sizes[style >> 1]
        box = self.stretched(character, least, scale, token)
        shift = self.axis * scale - (box.height - box.depth) / 2
        return Box(box.width, box.height + shift, box.depth - shift, ((0.0, shift, box),))

    # Rows

    def node(self, node: Node, style: int, state: State) -> Box:
        """Any node as a box of its own."""
        if type(node) is Row:
            return self.spaced(self.atoms(node.items, style, state))
        if type(node) is Symbol:
            return self.symbol(node, style, state)[1]
        return self.spaced(self.atoms((node,), style, state))

    def atoms(self, items: Iterable[Node], style: int, state: State) -> list[Atom]:
        """(class, box, style) of each item; switches act on what follows them."""
        out: list[Atom] = []
        for item in items:
            kind = type(item)
            if kind is Symbol:
                atom, box = self.symbol(item, style, state)
                out.append((atom, box, style))
            elif kind is Space:
                scale = self.sizes[style >> 1] if item.source in _MU_SPACES else 1.0
                out.append((_SPACE, kern(item.width_em * scale), style))
            elif kind is StyleChange:
                style = item.style | (style & 1)
            elif kind is FontSwitch:
                state = _changed(state, item.alphabet)
            elif kind is Middle:
                out.append((_MIDDLE, kern(0.0), style))
            else:
                atom, box = _METHODS[kind](self, item, style, state)
                out.append((atom, box, style))
        return out

    def spaced(self, atoms: list[Atom]) -> Box:
        """Atoms side by side with TeX's space between their classes."""
        if len(atoms) == 1:
            return atoms[0][1]
        classes = _settled(atoms)
        children = []
        x = height = depth = 0.0
        before = -1
        sizes = self.sizes
        for (_, box, style), atom in zip(atoms, classes, strict=True):
            if atom >= 0:
                if before >= 0:
                    gap = _GAPS[before][atom]
                    if gap != "0" and (gap == "1" or style < 4):
                        x += _GAP_WIDTH[gap] * sizes[style >> 1]
                before = atom
            children.append((x, 0.0, box))
            x += box.width
            if box.height > height:
                height = box.height
            if box.depth > depth:
                depth = box.depth
        return Box(x, height, depth, children)

    def row(self, node: Row, style: int, state: State) -> tuple[int, Box]:
        return ORD, self.spaced(self.atoms(node.items, style, state))

    # Scripts

    def scripts(self, node: Scripts, style: int, state: State) -> tuple[int, Box]:
        base = node.base
        if base is None:
            atom, box = ORD, kern(0.0)
        else:
            ((atom, box, _),) = self.atoms((base,), style, state) or [(ORD, kern(0.0), style)]
            if atom < 0:
                atom = ORD
        if _takes_limits(base, node.limits, style):
            return OP, self.with_limits(box, node.sup, node.sub, style, state)
        if node.sup is None and node.sub is None:
            return atom, box
        return atom, self.with_scripts(box, node, _is_character(base), style, state)

    def with_scripts(self, base: Box, node: Scripts, is_character: bool, style: int, state: State) -> Box:
        """Rule 18: sub- and superscript at the right of a base."""
        c, scale = self.constants, self.sizes[style >> 1]
        italic = base.italic
        up = down = 0.0
        if not is_character:
            script_scale = self.sizes[_superscript_style(style) >> 1]
            up = base.height - c["SuperscriptBaselineDropMax"] * script_scale
            down = base.depth + c["SubscriptBaselineDropMin"] * script_scale
        children = [(0.0, 0.0, base)]
        width = base.width
        sub = sup = None
        if node.sup is not None:
            sup = self.node(node.sup, _superscript_style(style), state)
            name = "SuperscriptShiftUpCramped" if style & 1 else "SuperscriptShiftUp"
            name = "DisplaySuperscriptShiftUp" if style == 0 else name
            up = max(up, c[name] * scale, sup.depth + self.x_height * scale / 4)
        if node.sub is not None:
            sub = self.node(node.sub, _subscript_style(style), state)
            if sup is None:
                down = max(down, c["SubscriptShiftDownAlone"] * scale, sub.height - 0.8 * self.x_height * scale)
            else:
                up, down = self._apart(up, max(down, c["SubscriptShiftDown"] * scale), sup, sub, scale)
        height, depth = base.height, base.depth
        if sup is not None:
            children.append((base.width, up, sup))
            width = base.width + sup.width
            height, depth = max(height, up + sup.height), max(depth, sup.depth - up)
        if sub is not None:
            children.append((base.width - italic, -down, sub))
            width = max(width if sup is not None else 0.0, base.width - italic + sub.width)
            height, depth = max(height, sub.height - down), max(depth, sub.depth + down)
        return Box(width + c["SpaceAfterScript"], height, depth, children)

    def _apart(self, up: float, down: float, sup: Box, sub: Box, scale: float) -> tuple[float, float]:
        """Rule 18e: at least four rule widths between the scripts."""
        least = 4 * self.thickness * scale
        gap = (up - sup.depth) - (sub.height - down)
        if gap < least:
            down += least - gap
            lift = 0.8 * self.x_height * scale - (up - sup.depth)
            if lift > 0:
                up, down = up + lift, down - lift
        return up, down

    def with_limits(self, base: Box, over: Node | None, under: Node | None, style: int, state: State) -> Box:
        """Rule 13a: limits over and under a base."""
        c, scale = self.constants, self.sizes[style >> 1]
        above = None if over is None else self.node(over, _superscript_style(style), state)
        below = None if under is None else self.node(under, _subscript_style(style), state)
        slant = base.italic / 2
        width = max(base.width, above.width if above else 0.0, below.width if below else 0.0)
        children = [((width - base.width) / 2, 0.0, base)]
        height, depth = base.height, base.depth
        padding = 0.1 * scale
        if above is not None:
            gap = max(c["UpperLimitGapMin"] * scale, c["UpperLimitBaselineRiseMin"] * scale - above.depth)
            y = base.height + gap + above.depth
            children.append(((width - above.width) / 2 + slant, y, above))
            height = y + above.height + padding
        if below is not None:
            gap = max(c["LowerLimitGapMin"] * scale, c["LowerLimitBaselineDropMin"] * scale - below.height)
            y = base.depth + gap + below.height
            children.append(((width - below.width) / 2 - slant, -y, below))
            depth = y + below.depth + padding
        return Box(width, height, depth, children)

    # Fractions, radicals, delimiters

    def fraction(self, node: Fraction, style: int, state: State) -> tuple[int, Box]:
        """Rule 15."""
        if node.style is not None:
            style = node.style | (style & 1)
        c, scale = self.constants, self.sizes[style >> 1]
        inner = style + 2 if style < 6 else style
        above = self.node(node.numerator, inner, state)
        below = self.node(node.denominator, inner | 1, state)
        display = "DisplayStyle" if style < 2 else ""
        thickness = self.thickness * scale if node.has_rule else 0.0
        axis = self.axis * scale
        if node.has_rule:
            up = c[f"FractionNumerator{display}ShiftUp"] * scale
            down = c[f"FractionDenominator{display}ShiftDown"] * scale
            gap = c["FractionNumDisplayStyleGapMin" if display else "FractionNumeratorGapMin"] * scale
            up = max(up, axis + thickness / 2 + gap + above.depth)
            down = max(down, below.height + gap + thickness / 2 - axis)
        else:
            up = c[f"StackTop{display}ShiftUp"] * scale
            down = c[f"StackBottom{display}ShiftDown"] * scale
            least = (7 if display else 3) * self.thickness * scale
            short = least - ((up - above.depth) - (below.height - down))
            if short > 0:
                up, down = up + short / 2, down + short / 2
        width = max(above.width, below.width)
        children = [((width - above.width) / 2, up, above), ((width - below.width) / 2, -down, below)]
        if node.has_rule:
            bar = rule(width, thickness, 0.0, node.source)
            children.insert(1, (0.0, axis - thickness / 2, bar))
        box = Box(width, up + above.height, down + below.depth, children)
        size = (2.39 if display else 1.01) * scale
        left = kern(_NULL_DELIMITER) if node.left is None else self.delimiter(node.left, size, style)
        right = kern(_NULL_DELIMITER) if node.right is None else self.delimiter(node.right, size, style)
        return ORD, _side_by_side((left, box, right))

    def radical(self, node: Radical, style: int, state: State) -> tuple[int, Box]:
        """Rule 11."""
        c, scale = self.constants, self.sizes[style >> 1]
        body = self.node(node.body, style | 1, state)
        thickness = c["RadicalRuleThickness"] * scale
        gap = c["RadicalDisplayStyleVerticalGap" if style < 2 else "RadicalVerticalGap"] * scale
        total = body.height + body.depth + gap + thickness
        sign = self.stretched("√", total, scale, node.source)
        excess = sign.height + sign.depth - total
        if excess > 0:
            gap += excess / 2
        top = body.height + gap + thickness
        x = 0.0
        children: list[tuple[float, float, Box]] = []
        if node.degree is not None:
            degree = self.node(node.degree, 6, state)
            x = c["RadicalKernBeforeDegree"] * scale + degree.width + c["RadicalKernAfterDegree"] * scale
            start = max(0.0, -x) + c["RadicalKernBeforeDegree"] * scale
            x = max(0.0, x)
            bottom = top - (sign.height + sign.depth)
            raised = bottom + c["RadicalDegreeBottomRaisePercent"] * (sign.height + sign.depth)
            children.append((start, raised + degree.depth, degree))
            degree_top = raised + degree.depth + degree.height
        else:
            degree_top = 0.0
        children.append((x, top - sign.height, sign))
        x += sign.width
        children += [(x, top - thickness, rule(body.width, thickness, 0.0, node.source)), (x, 0.0, body)]
        height = max(top + c["RadicalExtraAscender"] * scale, degree_top)
        depth = max(body.depth, sign.height + sign.depth - top)
        return ORD, Box(x + body.width, height, depth, children)

    def delimited(self, node: Delimited, style: int, state: State) -> tuple[int, Box]:
        r"""Rule 19, with TeX's own \delimiterfactor of 901 and \delimitershortfall of 5 pt."""
        atoms = self.atoms(node.body.items, style, state)
        least = self._fence_size((box for _, box, _ in atoms), style)
        middles = iter([item for item in node.body.items if isinstance(item, Middle)])
        atoms = [
            (OPEN, self.delimiter(next(middles).delimiter, least, style), at) if atom == _MIDDLE else (atom, box, at)
            for atom, box, at in atoms
        ]
        left, right = (self.delimiter(token, least, style) for token in (node.left, node.right))
        return INNER, self.spaced([(OPEN, left, style), *atoms, (CLOSE, right, style)])

    def _fence_size(self, boxes: Iterable[Box], style: int) -> float:
        axis = self.axis * self.sizes[style >> 1]
        reach = 0.0
        for box in boxes:
            reach = max(reach, box.height - axis, box.depth + axis)
        return max(2 * reach * 0.901, 2 * reach - 0.5)

    def big(self, node: Big, style: int, state: State) -> tuple[int, Box]:
        least, atom = BIG[node.source]
        return _CLASS[atom], self.delimiter(node.delimiter, least, 2)

    # Over and under

    def accent(self, node: Accent, style: int, state: State) -> tuple[int, Box]:
        """Rule 12."""
        body = self.node(node.body, style | 1, state)
        scale = self.sizes[style >> 1]
        mark = self._accent_mark(node, body.width - body.italic, scale)
        at = body.accent if _is_character(node.body) else body.width / 2
        shift = max(0.0, body.height - self.constants["AccentBaseHeight"] * scale)
        if node.character in UNDER_ACCENTS:
            shift = -body.depth
        counted = TEX_ACCENT_HEIGHTS.get(node.character, 0.0) * scale if self.font.name == "latin-modern" else 0.0
        x = at - mark.accent
        box = Box(
            body.width,
            max(body.height, shift + max(mark.height, counted)),
            body.depth,
            ((0.0, 0.0, body), (x, shift, mark)),
            body.italic,
            at,
        )
        return ORD, box

    def _accent_mark(self, node: Accent, width: float, scale: float) -> Box:
        glyph = self.font.glyph(node.character)
        if node.wide and glyph in self.font.horizontal:
            fitting = [v for v, size in self.font.horizontal[glyph].variants if size * scale <= width]
            glyph = fitting[-1] if fitting else glyph
        if glyph:
            return self._box_of(node.character, self.font, glyph, scale, node.source)
        font, glyph = self._find(node.character)
        return kern(0.0) if font is None else self._box_of(node.character, font, glyph, scale, node.source)

    def stretch(self, node: Stretch, style: int, state: State) -> tuple[int, Box]:
        """Rules 9 and 10, and braces and arrows as wide as the body."""
        body = self.node(node.body, style | 1 if node.over else style, state)
        c, scale = self.constants, self.sizes[style >> 1]
        if not node.character:
            thickness, gap = c["OverbarRuleThickness"] * scale, c["OverbarVerticalGap"] * scale
            bar = rule(body.width, thickness, 0.0, node.source)
            if node.over:
                y = body.height + gap
                box = Box(body.width, y + 2 * thickness, body.depth, ((0.0, 0.0, body), (0.0, y, bar)), body.italic)
            else:
                y = -(body.depth + gap + thickness)
                box = Box(body.width, body.height, thickness - y, ((0.0, 0.0, body), (0.0, y, bar)), body.italic)
            return ORD, box
        least = body.width - (0.25 * scale if node.source in BRACES else 0.0)
        mark, rise = self._wide_mark(node.character, least, scale, node.source)
        width = max(body.width, mark.width)
        gap = (0.1 if node.source in BRACES else 0.02) * scale
        height = mark.height + mark.depth
        y = body.height + gap if node.over else -(body.depth + gap + height)
        children = (((width - body.width) / 2, 0.0, body), ((width - mark.width) / 2, y - rise, mark))
        top, bottom = (y + height, body.depth) if node.over else (body.height, -y)
        return OP if node.source in BRACES else ORD, Box(width, top, bottom, children)

    def _wide_mark(self, character: str, width: float, scale: float, source: str) -> tuple[Box, float]:
        """A mark at least `width` wide with its ink's bottom at `rise`; height and depth are of the ink alone."""
        mark = self.stretched(character, width, scale, source, vertical=False)
        boxes = [child for _, _, child in mark.children] if mark.ink is None else [mark]
        inks = [
            glyph_box(PlacedGlyph(*box.ink[:3], 0.0, 0.0, *box.ink[3:]))
            for box in boxes
            if box.ink and len(box.ink) == 5
        ]
        low, high = min((ink[1] for ink in inks), default=0.0), max((ink[3] for ink in inks), default=0.0)
        left = min((ink[0] for ink in inks), default=0.0) if mark.ink is not None else 0.0
        across = (max((ink[2] for ink in inks), default=0.0) - left) if mark.ink is not None else mark.width
        return Box(across, high - low, 0.0, ((-left, 0.0, mark),)), low

    def stack(self, node: Stack, style: int, state: State) -> tuple[int, Box]:
        base = self.node(node.base, style, state)
        atom = REL if node.source == "\\stackrel" else _class_of(node.base)
        return atom, self.with_limits(base, node.over, node.under, style, state)

    def arrow(self, node: Arrow, style: int, state: State) -> tuple[int, Box]:
        scale = self.sizes[style >> 1]
        over = self.node(node.over, _superscript_style(style), state)
        under = kern(0.0) if node.under is None else self.node(node.under, _subscript_style(style), state)
        width = max(over.width, under.width) + 0.8 * scale
        mark, rise = self._wide_mark(node.character, width, scale, node.source)
        middle = self.axis * scale - mark.height / 2
        box = Box(mark.width, middle + mark.height, max(0.0, -middle), ((0.0, middle - rise, mark),))
        padded = [Box(b.width, b.height, b.depth, b.children, ink=b.ink) for b in (over, under)]
        children = [((0.0), 0.0, box)]
        y = box.height + 0.1 * scale + over.depth
        children.append(((box.width - over.width) / 2, y, padded[0]))
        height, depth = y + over.height, box.depth
        if node.under is not None:
            y = -middle + 0.1 * scale + under.height
            children.append(((box.width - under.width) / 2, -y, padded[1]))
            depth = max(depth, y + under.depth)
        return REL, Box(box.width, height, depth, children)

    # Words

    def text(self, node: Text, style: int, state: State) -> tuple[int, Box]:
        if node.source in _TEXT_SIZED:
            style = 2
        state = _changed(("rm", False) if node.source in _TEXT_SIZED or state[0] == "" else state, node.alphabet)
        level = max(0, (style >> 1) - 1)
        boxes: list[Box] = []
        for part in node.parts:
            if isinstance(part, str):
                boxes += [self._letter(letter, state, level) for letter in part]
            elif isinstance(part, FontSwitch):
                state = _changed(state, part.alphabet)
            elif isinstance(part, Text):
                boxes.append(self.text(part, style, state)[1])
            else:
                boxes.append(self.node(part, max(style, 2), ("", False)))
        return ORD, _side_by_side(boxes)

    def _letter(self, letter: str, state: State, level: int) -> Box:
        if letter.isspace():
            return kern(self.sizes[level + 1] / 3)
        character = styled(letter, *state) if letter not in "∂∇" else letter
        if character != letter and not self._find(character)[1]:
            character = letter
        box = self.glyph_box(character, level, letter)
        return Box(box.width, box.height, box.depth, ((0.0, 0.0, box),))

    def operator(self, node: Operator, style: int, state: State) -> tuple[int, Box]:
        if node.body is not None:
            return OP, self.node(node.body, style, state)
        level = max(0, (style >> 1) - 1)
        boxes = [
            kern(_THIN * self.sizes[style >> 1]) if letter == " " else self.glyph_box(letter, level, node.source)
            for letter in node.name
        ]
        return OP, _side_by_side(boxes)

    # The rest

    def font_change(self, node: FontChange, style: int, state: State) -> tuple[int, Box]:
        state = _changed(state, node.alphabet)
        if isinstance(node.body, Symbol):
            return self.symbol(node.body, style, state)
        if isinstance(node.body, Row) and len(node.body.items) == 1:
            ((atom, box, _),) = self.atoms(node.body.items, style, state) or [(ORD, kern(0.0), style)]
            return max(atom, 0), box
        return ORD, self.node(node.body, style, state)

    def classed(self, node: Classed, style: int, state: State) -> tuple[int, Box]:
        return _CLASS[node.atom], self.node(node.body, style, state)

    def macro(self, node: Macro, style: int, state: State) -> tuple[int, Box]:
        atom = REL if not node.arguments else ORD
        return atom, self.node(node.expansion, style, state)

    def phantom(self, node: Phantom, style: int, state: State) -> tuple[int, Box]:
        body = self.node(node.body, style, state)
        width = body.width if "w" in node.keeps else 0.0
        height = body.height if "h" in node.keeps else 0.0
        depth = body.depth if "d" in node.keeps else 0.0
        x = {"l": 0.0, "r": width - body.width, "c": (width - body.width) / 2}[node.align]
        return ORD, Box(width, height, depth, ((x, 0.0, body),) if node.visible else ())

    def raised(self, node: Raised, style: int, state: State) -> tuple[int, Box]:
        body, y = self.node(node.body, style, state), node.shift_em
        return ORD, Box(body.width, max(0.0, body.height + y), max(0.0, body.depth - y), ((0.0, y, body),))

    def boxed(self, node: Boxed, style: int, state: State) -> tuple[int, Box]:
        body = self.node(node.body, style if node.source == "\\boxed" else 2, state)
        pad, line = 0.3, 0.04
        width, height, depth = body.width + 2 * (pad + line), body.height + pad + line, body.depth + pad + line
        flat, upright = rule(width, line, 0.0, node.source), rule(line, height, depth, node.source)
        children = ((0.0, height - line, flat), (0.0, -depth, flat), (0.0, 0.0, upright), (width - line, 0.0, upright))
        return ORD, Box(width, height, depth, (*children, (pad + line, 0.0, body)))

    def negated(self, node: Negated, style: int, state: State) -> tuple[int, Box]:
        struck = node.body.items[0] if isinstance(node.body, Row) and len(node.body.items) == 1 else node.body
        if isinstance(struck, Symbol):
            joined = normalize("NFC", struck.character + _COMBINING_SLASH)
            if len(joined) == 1 and self.font.glyph(joined):
                return self.symbol(Symbol(f"{node.source} {struck.source}", joined, struck.atom), style, state)
        atom, body = (_class_of(struck), self.node(node.body, style, state))
        slash = self.glyph_box("/", max(0, (style >> 1) - 1), node.source)
        x = (body.width - slash.width) / 2
        return atom, Box(
            body.width,
            max(body.height, slash.height),
            max(body.depth, slash.depth),
            ((0.0, 0.0, body), (x, 0.0, slash)),
        )

    def bar(self, node: Bar, style: int, state: State) -> tuple[int, Box]:
        width, height = max(0.0, node.width_em), max(0.0, node.height_em)
        if width == 0.0 or height == 0.0:
            return ORD, Box(width, height, 0.0)
        return ORD, rule(width, height + node.raise_em, -node.raise_em, node.source)

    def matrix(self, node: Matrix, style: int, state: State) -> tuple[int, Box]:
        def cell(content: Node, cell_style: int) -> Box:
            items = content.items if isinstance(content, Row) else (content,)
            return self.spaced(self.atoms(items, cell_style, state))

        def relation_cell(content: Node, cell_style: int) -> Box:
            items = content.items if isinstance(content, Row) else (content,)
            return self.spaced([(ORD, kern(0.0), cell_style), *self.atoms(items, cell_style, state)])

        grid = matrices.grid(node, cell, relation_cell, self.axis * self.sizes[1], self.sizes[2])
        left, right = matrices.fences(node.environment)
        if left is None:
            return ORD, grid
        least = self._fence_size((grid,), 2)
        return INNER, _side_by_side((self.delimiter(left, least, 2), grid, self.delimiter(right or ".", least, 2)))

    def multicolumn(self, node: Multicolumn, style: int, state: State) -> tuple[int, Box]:
        return ORD, self.node(node.body, style, state)


def _changed(state: State, alphabet: str) -> State:
    """The font state after a font command."""
    if alphabet == "":
        return state
    if alphabet == "bold":
        return state[0], True
    if alphabet == "unbold":
        return state[0], False
    return alphabet, state[1]


def _missing(size: float, source: str) -> Box:
    """A frame of one em for a character that no font has."""
    line = 0.04 * size
    flat, upright = rule(size, line, 0.0, source), rule(line, size, 0.0, source)
    return Box(
        size, size, 0.0, ((0.0, 0.0, flat), (0.0, size - line, flat), (0.0, 0.0, upright), (size - line, 0.0, upright))
    )


def _joined(parts: Sequence[Part], least: float, overlap: float) -> tuple[list[Part], list[float]]:
    """The pieces of a stretched glyph, extenders repeated, and how far each reaches into the next (the last: 0)."""
    extenders = [part for part in parts if part.is_extender]
    gain = sum(part.full_advance - overlap for part in extenders)
    base = sum(part.full_advance - overlap for part in parts if not part.is_extender) + overlap
    repeats = 0 if gain <= 0 else max(0, min(500, ceil((least - base) / gain)))
    if len(extenders) == len(parts):
        repeats = max(1, repeats)
    pieces = [part for part in parts for _ in range(repeats if part.is_extender else 1)]
    most = [max(overlap, min(a.end_connector, b.start_connector)) for a, b in pairwise(pieces)]
    excess = base + repeats * gain - least
    slack = sum(most) - overlap * len(most)
    share = max(0.0, min(1.0, excess / slack)) if slack > 0 else 0.0
    return pieces, [*(overlap + share * (limit - overlap) for limit in most), 0.0]


def _side_by_side(boxes: Sequence[Box]) -> Box:
    children = []
    x = height = depth = 0.0
    for box in boxes:
        children.append((x, 0.0, box))
        x += box.width
        height, depth = max(height, box.height), max(depth, box.depth)
    return Box(x, height, depth, children)


def _settled(atoms: list[Atom]) -> list[int]:
    """Classes once binary operators without two operands have become ordinary (TeXbook p. 442, rules 5 and 6)."""
    classes = [atom[0] for atom in atoms]
    before = -1
    for i, atom in enumerate(classes):
        if atom < 0:
            continue
        left = classes[before] if before >= 0 else OPEN
        if atom == BIN and left in (BIN, OP, REL, OPEN, PUNCT):
            classes[i] = ORD
        elif atom in (REL, CLOSE, PUNCT) and left == BIN:
            classes[before] = ORD
        before = i
    if before >= 0 and classes[before] == BIN:
        classes[before] = ORD
    return classes


def _takes_limits(base: Node | None, limits: str | None, style: int) -> bool:
    """Whether scripts go over and under this base."""
    if isinstance(base, Stretch) and base.source in BRACES:
        return True
    if isinstance(base, Symbol) and base.atom == "op":
        natural = base.source in LIMIT_OPERATORS
    elif isinstance(base, Operator):
        natural = base.limits
    else:
        return limits == "\\limits" and base is not None
    return limits == "\\limits" or (natural and limits != "\\nolimits" and style < 2)


_Method = Callable[[Engine, Any, int, State], tuple[int, Box]]
_METHODS: dict[type, _Method] = {
    Row: Engine.row,
    Scripts: Engine.scripts,
    Fraction: Engine.fraction,
    Radical: Engine.radical,
    Delimited: Engine.delimited,
    Big: Engine.big,
    Accent: Engine.accent,
    Stretch: Engine.stretch,
    Stack: Engine.stack,
    Arrow: Engine.arrow,
    Matrix: Engine.matrix,
    Multicolumn: Engine.multicolumn,
    Text: Engine.text,
    FontChange: Engine.font_change,
    Operator: Engine.operator,
    Classed: Engine.classed,
    Phantom: Engine.phantom,
    Raised: Engine.raised,
    Boxed: Engine.boxed,
    Negated: Engine.negated,
    Bar: Engine.bar,
    Macro: Engine.macro,
}
