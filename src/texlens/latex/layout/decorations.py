"""What goes over, under, around and through a body: accents, braces, arrows, frames, strokes."""

from unicodedata import normalize

from texlens.latex.layout.boxes import Box, PlacedGlyph, glyph_box, kern, rule
from texlens.latex.layout.engine import LayoutEngine, State, subscript_style, superscript_style
from texlens.latex.layout.fonts import TEX_ACCENT_HEIGHTS
from texlens.latex.layout.spacing import OP, ORD, REL
from texlens.latex.layout.structures import class_of, is_character_node, with_limits
from texlens.latex.parse.nodes import Accent, Arrow, Bar, Boxed, Cancel, Negated, Raised, Row, Stack, Stretch, Symbol
from texlens.latex.parse.symbols import BRACES, UNDER_ACCENTS

_COMBINING_SLASH = "\u0338"


# Over and under


def layout_accent(engine: LayoutEngine, node: Accent, style: int, state: State) -> tuple[int, Box]:
    """Rule 12."""
    body = engine.node(node.body, style | 1, state)
    scale = engine.sizes[style >> 1]
    mark = _accent_mark(engine, node, body.width - body.italic, scale)
    at = body.accent if is_character_node(node.body) else body.width / 2
    shift = max(0.0, body.height - engine.constants["AccentBaseHeight"] * scale)
    if node.character in UNDER_ACCENTS:
        shift = -body.depth
    counted = TEX_ACCENT_HEIGHTS.get(node.character, 0.0) * scale if engine.font.name == "latin-modern" else 0.0
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


def _accent_mark(engine: LayoutEngine, node: Accent, width: float, scale: float) -> Box:
    glyph = engine.font.glyph(node.character)
    if node.is_wide and glyph in engine.font.horizontal:
        fitting = [v for v, size in engine.font.horizontal[glyph].variants if size * scale <= width]
        glyph = fitting[-1] if fitting else glyph
    if glyph:
        return engine.box_of(node.character, engine.font, glyph, scale, node.source)
    font, glyph = engine.find(node.character)
    return kern(0.0) if font is None else engine.box_of(node.character, font, glyph, scale, node.source)


def layout_stretch(engine: LayoutEngine, node: Stretch, style: int, state: State) -> tuple[int, Box]:
    """Rules 9 and 10, and braces and arrows as wide as the body."""
    body = engine.node(node.body, style | 1 if node.over else style, state)
    c, scale = engine.constants, engine.sizes[style >> 1]
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
    mark, rise = _wide_mark(engine, node.character, least, scale, node.source)
    width = max(body.width, mark.width)
    gap = (0.1 if node.source in BRACES else 0.02) * scale
    height = mark.height + mark.depth
    y = body.height + gap if node.over else -(body.depth + gap + height)
    children = (((width - body.width) / 2, 0.0, body), ((width - mark.width) / 2, y - rise, mark))
    top, bottom = (y + height, body.depth) if node.over else (body.height, -y)
    return OP if node.source in BRACES else ORD, Box(width, top, bottom, children)


def _wide_mark(engine: LayoutEngine, character: str, width: float, scale: float, source: str) -> tuple[Box, float]:
    """A mark at least `width` wide with its ink's bottom at `rise`; height and depth are of the ink alone."""
    mark = engine.stretched(character, width, scale, source, vertical=False)
    boxes = [child for _, _, child in mark.children] if mark.ink is None else [mark]
    inks = [
        glyph_box(PlacedGlyph(*box.ink[:3], 0.0, 0.0, *box.ink[3:])) for box in boxes if box.ink and len(box.ink) == 5
    ]
    low, high = min((ink[1] for ink in inks), default=0.0), max((ink[3] for ink in inks), default=0.0)
    left = min((ink[0] for ink in inks), default=0.0) if mark.ink is not None else 0.0
    across = (max((ink[2] for ink in inks), default=0.0) - left) if mark.ink is not None else mark.width
    return Box(across, high - low, 0.0, ((-left, 0.0, mark),)), low


def layout_stack(engine: LayoutEngine, node: Stack, style: int, state: State) -> tuple[int, Box]:
    base = engine.node(node.base, style, state)
    atom = REL if node.source == "\\stackrel" else class_of(node.base)
    return atom, with_limits(engine, base, node.over, node.under, style, state)


def layout_arrow(engine: LayoutEngine, node: Arrow, style: int, state: State) -> tuple[int, Box]:
    scale = engine.sizes[style >> 1]
    over = engine.node(node.over, superscript_style(style), state)
    under = kern(0.0) if node.under is None else engine.node(node.under, subscript_style(style), state)
    width = max(over.width, under.width) + 0.8 * scale
    mark, rise = _wide_mark(engine, node.character, width, scale, node.source)
    middle = engine.axis * scale - mark.height / 2
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


def layout_raised(engine: LayoutEngine, node: Raised, style: int, state: State) -> tuple[int, Box]:
    body, y = engine.node(node.body, style, state), node.shift_em
    return ORD, Box(body.width, max(0.0, body.height + y), max(0.0, body.depth - y), ((0.0, y, body),))


def layout_boxed(engine: LayoutEngine, node: Boxed, style: int, state: State) -> tuple[int, Box]:
    body = engine.node(node.body, style if node.source == "\\boxed" else 2, state)
    pad, line = 0.3, 0.04
    width, height, depth = body.width + 2 * (pad + line), body.height + pad + line, body.depth + pad + line
    flat, upright = rule(width, line, 0.0, node.source), rule(line, height, depth, node.source)
    children = ((0.0, height - line, flat), (0.0, -depth, flat), (0.0, 0.0, upright), (width - line, 0.0, upright))
    return ORD, Box(width, height, depth, (*children, (pad + line, 0.0, body)))


def layout_cancel(engine: LayoutEngine, node: Cancel, style: int, state: State) -> tuple[int, Box]:
    """Strokes from corner to corner of the body's box."""
    body = engine.node(node.body, style, state)
    total = body.height + body.depth
    strokes: list[tuple[float, float, Box]] = [(0.0, 0.0, body)]
    if node.strokes in "/x":
        strokes.append((0.0, -body.depth, Box(0.0, 0.0, 0.0, ink=(body.width, total, engine.thickness, node.source))))
    if node.strokes in "\\x":
        strokes.append((0.0, body.height, Box(0.0, 0.0, 0.0, ink=(body.width, -total, engine.thickness, node.source))))
    return ORD, Box(body.width, body.height, body.depth, strokes)


def layout_negated(engine: LayoutEngine, node: Negated, style: int, state: State) -> tuple[int, Box]:
    struck = node.body.items[0] if isinstance(node.body, Row) and len(node.body.items) == 1 else node.body
    if isinstance(struck, Symbol):
        joined = normalize("NFC", struck.character + _COMBINING_SLASH)
        if len(joined) == 1 and engine.font.glyph(joined):
            return engine.symbol(Symbol(f"{node.source} {struck.source}", joined, struck.atom), style, state)
    atom, body = (class_of(struck), engine.node(node.body, style, state))
    slash = engine.glyph_box("/", max(0, (style >> 1) - 1), node.source)
    x = (body.width - slash.width) / 2
    return atom, Box(
        body.width,
        max(body.height, slash.height),
        max(body.depth, slash.depth),
        ((0.0, 0.0, body), (x, 0.0, slash)),
    )


def layout_bar(engine: LayoutEngine, node: Bar, style: int, state: State) -> tuple[int, Box]:
    width, height = max(0.0, node.width_em), max(0.0, node.height_em)
    if width == 0.0 or height == 0.0:
        return ORD, Box(width, height, 0.0)
    return ORD, rule(width, height + node.raise_em, -node.raise_em, node.source)
