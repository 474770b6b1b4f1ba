"""A formula laid out as TeX would: Appendix G of The TeXbook with the constants of an OpenType MATH table."""

from functools import cache

from texlens.latex.layout import matrices
from texlens.latex.layout.alphabets import styled
from texlens.latex.layout.boxes import Box, Layout, PlacedGlyph, PlacedRule, flatten, glyph_box, kern, side_by_side
from texlens.latex.layout.decorations import (
    layout_accent,
    layout_arrow,
    layout_bar,
    layout_boxed,
    layout_negated,
    layout_raised,
    layout_stack,
    layout_stretch,
)
from texlens.latex.layout.engine import LayoutEngine, Method, State, changed
from texlens.latex.layout.fonts import math_font
from texlens.latex.layout.spacing import CLASS, INNER, OP, ORD, REL, THIN
from texlens.latex.layout.structures import (
    layout_big,
    layout_delimited,
    layout_fraction,
    layout_radical,
    layout_scripts,
)
from texlens.latex.parse.nodes import (
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
    Multicolumn,
    Negated,
    Node,
    Operator,
    Phantom,
    Radical,
    Raised,
    Row,
    Scripts,
    Stack,
    Stretch,
    Symbol,
    Text,
)
from texlens.latex.parse.parser import parse

__all__ = ["Layout", "PlacedGlyph", "PlacedRule", "engine_of", "glyph_box", "layout"]


def layout(formula: str | Node, *, font: str = "latin-modern", size: float = 1.0, display: bool = True) -> Layout:
    """Where every glyph and rule of a formula goes.

    Lengths are in em times `size`. `font` is one of `fonts.FONT_NAMES`; `display` chooses display over text style.

    Raises:
        LatexError: the formula does not parse (see `parse`), or the font is unknown.
    """
    node = parse(formula) if isinstance(formula, str) else formula
    return flatten(engine_of(font).node(node, 0 if display else 2, ("", False)), size)


@cache
def engine_of(font: str) -> LayoutEngine:
    """The engine that draws with a font, by its name."""
    return LayoutEngine(math_font(font), METHODS)


_TEXT_SIZED = frozenset(["\\mbox", "\\hbox", "\\makebox"])


# Words


def layout_text(engine: LayoutEngine, node: Text, style: int, state: State) -> tuple[int, Box]:
    if node.source in _TEXT_SIZED:
        style = 2
    state = changed(("rm", False) if node.source in _TEXT_SIZED or state[0] == "" else state, node.alphabet)
    level = max(0, (style >> 1) - 1)
    boxes: list[Box] = []
    for part in node.parts:
        if isinstance(part, str):
            boxes += [_letter(engine, letter, state, level) for letter in part]
        elif isinstance(part, FontSwitch):
            state = changed(state, part.alphabet)
        elif isinstance(part, Text):
            boxes.append(layout_text(engine, part, style, state)[1])
        else:
            boxes.append(engine.node(part, max(style, 2), ("", False)))
    return ORD, side_by_side(boxes)


def _letter(engine: LayoutEngine, letter: str, state: State, level: int) -> Box:
    if letter.isspace():
        return kern(engine.sizes[level + 1] / 3)
    character = styled(letter, *state) if letter not in "∂∇" else letter
    if character != letter and not engine.find(character)[1]:
        character = letter
    box = engine.glyph_box(character, level, letter)
    return Box(box.width, box.height, box.depth, ((0.0, 0.0, box),))


def layout_operator(engine: LayoutEngine, node: Operator, style: int, state: State) -> tuple[int, Box]:
    if node.body is not None:
        return OP, engine.node(node.body, style, state)
    level = max(0, (style >> 1) - 1)
    boxes = [
        kern(THIN * engine.sizes[style >> 1]) if letter == " " else engine.glyph_box(letter, level, node.source)
        for letter in node.name
    ]
    return OP, side_by_side(boxes)


# The rest


def layout_font_change(engine: LayoutEngine, node: FontChange, style: int, state: State) -> tuple[int, Box]:
    state = changed(state, node.alphabet)
    if isinstance(node.body, Symbol):
        return engine.symbol(node.body, style, state)
    if isinstance(node.body, Row) and len(node.body.items) == 1:
        ((atom, box, _),) = engine.atoms(node.body.items, style, state) or [(ORD, kern(0.0), style)]
        return max(atom, 0), box
    return ORD, engine.node(node.body, style, state)


def layout_classed(engine: LayoutEngine, node: Classed, style: int, state: State) -> tuple[int, Box]:
    return CLASS[node.atom], engine.node(node.body, style, state)


def layout_macro(engine: LayoutEngine, node: Macro, style: int, state: State) -> tuple[int, Box]:
    atom = REL if not node.arguments else ORD
    return atom, engine.node(node.expansion, style, state)


def layout_phantom(engine: LayoutEngine, node: Phantom, style: int, state: State) -> tuple[int, Box]:
    body = engine.node(node.body, style, state)
    width = body.width if "w" in node.keeps else 0.0
    height = body.height if "h" in node.keeps else 0.0
    depth = body.depth if "d" in node.keeps else 0.0
    x = {"l": 0.0, "r": width - body.width, "c": (width - body.width) / 2}[node.align]
    return ORD, Box(width, height, depth, ((x, 0.0, body),) if node.visible else ())


def layout_matrix(engine: LayoutEngine, node: Matrix, style: int, state: State) -> tuple[int, Box]:
    def cell(content: Node, cell_style: int) -> Box:
        items = content.items if isinstance(content, Row) else (content,)
        return engine.spaced(engine.atoms(items, cell_style, state))

    def relation_cell(content: Node, cell_style: int) -> Box:
        items = content.items if isinstance(content, Row) else (content,)
        return engine.spaced([(ORD, kern(0.0), cell_style), *engine.atoms(items, cell_style, state)])

    grid = matrices.grid(node, cell, relation_cell, engine.axis * engine.sizes[1], engine.sizes[2])
    left, right = matrices.fences(node.environment)
    if left is None:
        return ORD, grid
    least = engine.fence_size((grid,), 2)
    return INNER, side_by_side((engine.delimiter(left, least, 2), grid, engine.delimiter(right or ".", least, 2)))


def layout_multicolumn(engine: LayoutEngine, node: Multicolumn, style: int, state: State) -> tuple[int, Box]:
    return ORD, engine.node(node.body, style, state)


def layout_row(engine: LayoutEngine, node: Row, style: int, state: State) -> tuple[int, Box]:
    return ORD, engine.spaced(engine.atoms(node.items, style, state))


METHODS: dict[type, Method] = {
    Row: layout_row,
    Scripts: layout_scripts,
    Fraction: layout_fraction,
    Radical: layout_radical,
    Delimited: layout_delimited,
    Big: layout_big,
    Accent: layout_accent,
    Stretch: layout_stretch,
    Stack: layout_stack,
    Arrow: layout_arrow,
    Matrix: layout_matrix,
    Multicolumn: layout_multicolumn,
    Text: layout_text,
    FontChange: layout_font_change,
    Operator: layout_operator,
    Classed: layout_classed,
    Phantom: layout_phantom,
    Raised: layout_raised,
    Boxed: layout_boxed,
    Negated: layout_negated,
    Bar: layout_bar,
    Macro: layout_macro,
}
