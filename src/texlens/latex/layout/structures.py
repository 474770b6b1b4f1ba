"""Scripts, limits, fractions, radicals and delimiters: rules 11 to 19 of The TeXbook's Appendix G."""

from collections.abc import Iterator

from texlens.latex.layout.boxes import Box, kern, rule, side_by_side
from texlens.latex.layout.engine import LayoutEngine, State, subscript_style, superscript_style
from texlens.latex.layout.glyphs import NULL_DELIMITER
from texlens.latex.layout.spacing import CLASS, CLOSE, INNER, MIDDLE, OP, OPEN, ORD
from texlens.latex.parse.nodes import (
    Accent,
    Big,
    Classed,
    Delimited,
    FontChange,
    FontSwitch,
    Fraction,
    Middle,
    Node,
    Operator,
    Radical,
    Row,
    Scripts,
    Sideset,
    Stretch,
    Symbol,
)
from texlens.latex.parse.symbols import BIG, BRACES, LIMIT_OPERATORS

# Scripts


def layout_scripts(engine: LayoutEngine, node: Scripts, style: int, state: State) -> tuple[int, Box]:
    base = node.base
    if base is None:
        atom, box = ORD, kern(0.0)
    else:
        ((atom, box, _),) = engine.atoms((base,), style, state) or [(ORD, kern(0.0), style)]
        if atom < 0:
            atom = ORD
    if isinstance(base, Sideset):
        return OP, _sideset_box(engine, base, node.sup, node.sub, node.limits, style, state)
    if takes_limits(base, node.limits, style):
        return OP, with_limits(engine, box, node.sup, node.sub, style, state)
    if node.sup is None and node.sub is None:
        return atom, box
    return atom, with_scripts(engine, box, node, is_character_node(base), style, state)


def layout_sideset(engine: LayoutEngine, node: Sideset, style: int, state: State) -> tuple[int, Box]:
    return OP, _sideset_box(engine, node, None, None, None, style, state)


def _sideset_box(
    engine: LayoutEngine,
    node: Sideset,
    over: Node | None,
    under: Node | None,
    limits: str | None,
    style: int,
    state: State,
) -> Box:
    """amsmath's construction: scripts at the corners of the operator, limits centered on it."""
    bare = engine.node(node.base, style, state)
    strut = Box(0.0, bare.height, bare.depth)
    left = with_scripts(engine, strut, Scripts(None, node.left_sub, node.left_sup), False, style, state)
    corners = Scripts(node.base, node.right_sub, node.right_sup)
    right = with_scripts(engine, bare, corners, False, style, state)
    if over is None and under is None:
        return side_by_side((left, right))
    if not takes_limits(node.base, limits, style):
        return with_scripts(engine, side_by_side((left, right)), Scripts(None, under, over), False, style, state)
    limited = with_limits(engine, bare, over, under, style, state)
    shift = (limited.width - bare.width) / 2
    around = [(x - shift, y, child) for x, y, child in limited.children if child is not bare]
    height, depth = max(right.height, limited.height), max(right.depth, limited.depth)
    right = Box(max(right.width, bare.width + shift), height, depth, [*right.children, *around])
    return side_by_side((kern(max(0.0, shift - left.width)), left, right))


def with_scripts(engine: LayoutEngine, base: Box, node: Scripts, is_character: bool, style: int, state: State) -> Box:
    """Rule 18: sub- and superscript at the right of a base."""
    c, scale = engine.constants, engine.sizes[style >> 1]
    italic = base.italic
    up = down = 0.0
    if not is_character:
        script_scale = engine.sizes[superscript_style(style) >> 1]
        up = base.height - c["SuperscriptBaselineDropMax"] * script_scale
        down = base.depth + c["SubscriptBaselineDropMin"] * script_scale
    children = [(0.0, 0.0, base)]
    width = base.width
    sub = sup = None
    if node.sup is not None:
        sup = engine.node(node.sup, superscript_style(style), state)
        name = "SuperscriptShiftUpCramped" if style & 1 else "SuperscriptShiftUp"
        name = "DisplaySuperscriptShiftUp" if style == 0 else name
        up = max(up, c[name] * scale, sup.depth + engine.x_height * scale / 4)
    if node.sub is not None:
        sub = engine.node(node.sub, subscript_style(style), state)
        if sup is None:
            down = max(down, c["SubscriptShiftDownAlone"] * scale, sub.height - 0.8 * engine.x_height * scale)
        else:
            up, down = _apart(engine, up, max(down, c["SubscriptShiftDown"] * scale), sup, sub, scale)
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


def _apart(engine: LayoutEngine, up: float, down: float, sup: Box, sub: Box, scale: float) -> tuple[float, float]:
    """Rule 18e: at least four rule widths between the scripts."""
    least = 4 * engine.thickness * scale
    gap = (up - sup.depth) - (sub.height - down)
    if gap < least:
        down += least - gap
        lift = 0.8 * engine.x_height * scale - (up - sup.depth)
        if lift > 0:
            up, down = up + lift, down - lift
    return up, down


def with_limits(
    engine: LayoutEngine, base: Box, over: Node | None, under: Node | None, style: int, state: State
) -> Box:
    """Rule 13a: limits over and under a base."""
    c, scale = engine.constants, engine.sizes[style >> 1]
    above = None if over is None else engine.node(over, superscript_style(style), state)
    below = None if under is None else engine.node(under, subscript_style(style), state)
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


def layout_fraction(engine: LayoutEngine, node: Fraction, style: int, state: State) -> tuple[int, Box]:
    """Rule 15."""
    if node.style is not None:
        style = node.style | (style & 1)
    c, scale = engine.constants, engine.sizes[style >> 1]
    inner = style + 2 if style < 6 else style
    above = engine.node(node.numerator, inner, state)
    below = engine.node(node.denominator, inner | 1, state)
    display = "DisplayStyle" if style < 2 else ""
    thickness = engine.thickness * scale if node.has_rule else 0.0
    if node.thickness_em is not None:
        thickness = node.thickness_em
    axis = engine.axis * scale
    if node.has_rule:
        up = c[f"FractionNumerator{display}ShiftUp"] * scale
        down = c[f"FractionDenominator{display}ShiftDown"] * scale
        gap = c["FractionNumDisplayStyleGapMin" if display else "FractionNumeratorGapMin"] * scale
        up = max(up, axis + thickness / 2 + gap + above.depth)
        down = max(down, below.height + gap + thickness / 2 - axis)
    else:
        up = c[f"StackTop{display}ShiftUp"] * scale
        down = c[f"StackBottom{display}ShiftDown"] * scale
        least = (7 if display else 3) * engine.thickness * scale
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
    left = kern(NULL_DELIMITER) if node.left is None else engine.delimiter(node.left, size, style)
    right = kern(NULL_DELIMITER) if node.right is None else engine.delimiter(node.right, size, style)
    return ORD, side_by_side((left, box, right))


def layout_radical(engine: LayoutEngine, node: Radical, style: int, state: State) -> tuple[int, Box]:
    """Rule 11."""
    c, scale = engine.constants, engine.sizes[style >> 1]
    body = engine.node(node.body, style | 1, state)
    thickness = c["RadicalRuleThickness"] * scale
    gap = c["RadicalDisplayStyleVerticalGap" if style < 2 else "RadicalVerticalGap"] * scale
    total = body.height + body.depth + gap + thickness
    sign = engine.stretched("√", total, scale, node.source)
    excess = sign.height + sign.depth - total
    if excess > 0:
        gap += excess / 2
    top = body.height + gap + thickness
    x = 0.0
    children: list[tuple[float, float, Box]] = []
    if node.degree is not None:
        degree = engine.node(node.degree, 6, state)
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


def layout_delimited(engine: LayoutEngine, node: Delimited, style: int, state: State) -> tuple[int, Box]:
    r"""Rule 19, with TeX's own \delimiterfactor of 901 and \delimitershortfall of 5 pt."""
    atoms = [atom for segment in segments(node.body) for atom in engine.atoms(segment, style, state)]
    least = engine.fence_size((box for _, box, _ in atoms), style)
    middles = iter([item for item in node.body.items if isinstance(item, Middle)])
    atoms = [
        (OPEN, engine.delimiter(next(middles).delimiter, least, style), at) if atom == MIDDLE else (atom, box, at)
        for atom, box, at in atoms
    ]
    left, right = (engine.delimiter(token, least, style) for token in (node.left, node.right))
    return INNER, engine.spaced([(OPEN, left, style), *atoms, (CLOSE, right, style)])


def segments(body: Row) -> Iterator[tuple[Node, ...]]:
    r"""The parts of a body between `\middle`s, each of which is in the part that it begins: switches end there."""
    start = 0
    for i, item in enumerate(body.items):
        if isinstance(item, Middle) and i:
            yield body.items[start:i]
            start = i
    yield body.items[start:]


def layout_big(engine: LayoutEngine, node: Big, style: int, state: State) -> tuple[int, Box]:
    least, atom = BIG[node.source]
    return CLASS[atom], engine.delimiter(node.delimiter, least, 2)


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


def is_character_node(node: Node | None) -> bool:
    nucleus = _nucleus(node)
    return isinstance(nucleus, Symbol) and nucleus.atom != "op"


def class_of(node: Node) -> int:
    r"""The atom class that `\overset` and kin take from their base."""
    if isinstance(node, Row) and len(node.items) == 1:
        node = node.items[0]
    if isinstance(node, Symbol):
        return CLASS[node.atom]
    return CLASS[node.atom] if isinstance(node, Classed) else ORD


def takes_limits(base: Node | None, limits: str | None, style: int) -> bool:
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
