"""A formula laid out as TeX would: Appendix G of The TeXbook with the constants of an OpenType MATH table."""

from functools import cache

from texlens.latex.layout import matrices
from texlens.latex.layout.boxes import Box, Layout, PlacedGlyph, PlacedRule, flatten, glyph_box, kern, side_by_side
from texlens.latex.layout.decorations import (
    layout_accent,
    layout_arrow,
    layout_bar,
    layout_boxed,
    layout_cancel,
    layout_negated,
    layout_raised,
    layout_stack,
    layout_stretch,
)
from texlens.latex.layout.engine import LayoutEngine, Method, State, cell_state, changed, operator_letters
from texlens.latex.layout.fonts import math_font
from texlens.latex.layout.spacing import CLASS, INNER, OP, ORD, REL, THIN_SPACE
from texlens.latex.layout.structures import (
    layout_big,
    layout_delimited,
    layout_fraction,
    layout_radical,
    layout_scripts,
    layout_sideset,
)
from texlens.latex.parse.alphabets import styled, text_font
from texlens.latex.parse.nodes import (
    Accent,
    Arrow,
    Bar,
    Big,
    Boxed,
    Cancel,
    Classed,
    Delimited,
    FontChange,
    FontSwitch,
    Fraction,
    Intertext,
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
    Sideset,
    SizedBox,
    Stack,
    Stretch,
    StyleChoice,
    Text,
)
from texlens.latex.parse.parser import parse

__all__ = ["Layout", "PlacedGlyph", "PlacedRule", "engine_of", "glyph_box", "layout"]


KEEPS_CLASS = frozenset(["\\boldsymbol", "\\bm", "\\pmb"])
"""Font commands that leave a single symbol its class; the others make an ordinary atom of it."""


def layout(
    formula: str | Node,
    *,
    font: str = "latin-modern",
    size: float = 1.0,
    display: bool = True,
    system_fonts: bool = True,
) -> Layout:
    """Where every glyph and rule of a formula goes.

    Lengths are in em times `size`. `font` is one of `fonts.FONT_NAMES`; `display` chooses display over text style.
    Without `system_fonts` only the bundled fonts are used, so that the result is the same on every machine; a character
    that no font has is one glyph of the font `fonts.MISSING`.

    Raises:
        LatexError: the formula does not parse (see `parse`), or the font is unknown.
    """
    node = parse(formula) if isinstance(formula, str) else formula
    return flatten(engine_of(font, system_fonts).node(node, 0 if display else 2, ("", False)), size)


@cache
def engine_of(font: str, system_fonts: bool = False) -> LayoutEngine:
    """The engine that draws with a font, by its name."""
    return LayoutEngine(math_font(font), METHODS, system_fonts)


TEXT_SIZED = frozenset(["\\mbox", "\\hbox"])
"""Boxes whose words have the text size, in scripts too."""


# Words


def layout_text(engine: LayoutEngine, node: Text, style: int, state: State) -> tuple[int, Box]:
    if node.source in TEXT_SIZED:
        style = 2
    return ORD, _words(engine, node, style, "rm", ("", state[1]))


def _words(engine: LayoutEngine, node: Text, style: int, font: str, math_state: State) -> Box:
    """Words in a text font; `math_state` is the weight of the math between them."""
    font = text_font(font, node.source)
    level = max(0, (style >> 1) - 1)
    boxes: list[Box] = []
    for part in node.parts:
        if isinstance(part, str):
            boxes += [_letter(engine, letter, (font, False), level) for letter in part]
        elif isinstance(part, FontSwitch):
            if part.alphabet in ("bold", "unbold"):
                math_state = changed(math_state, part.alphabet)
            else:
                font = text_font(font, part.source)
        elif isinstance(part, Text):
            boxes.append(_words(engine, part, 2 if part.source in TEXT_SIZED else style, font, math_state))
        else:
            boxes.append(engine.node(part, max(style, 2), math_state))
    return side_by_side(boxes)


def _letter(engine: LayoutEngine, letter: str, state: State, level: int) -> Box:
    if letter.isspace():
        return kern(engine.sizes[level + 1] / 3)
    if digit := engine.digit(letter, state[0], level, letter):
        return digit
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
        kern(THIN_SPACE * engine.sizes[style >> 1]) if letter == " " else engine.glyph_box(letter, level, node.source)
        for letter in operator_letters(node.name, state)
    ]
    return OP, side_by_side(boxes)


# The rest


def layout_font_change(engine: LayoutEngine, node: FontChange, style: int, state: State) -> tuple[int, Box]:
    r"""A group of the font, which is an ordinary atom; `\boldsymbol` and `\bm` keep the class of a single symbol."""
    state = changed(state, node.alphabet)
    items = node.body.items if isinstance(node.body, Row) else (node.body,)
    if len(items) != 1:
        return ORD, engine.node(node.body, style, state)
    ((atom, box, _),) = engine.atoms(items, style, state) or [(ORD, kern(0.0), style)]
    return (max(atom, 0) if node.source in KEEPS_CLASS else ORD), box


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
    state = cell_state(state)

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


def layout_intertext(engine: LayoutEngine, node: Intertext, style: int, state: State) -> tuple[int, Box]:
    return ORD, engine.node(node.body, 2, ("", False))


def layout_style_choice(engine: LayoutEngine, node: StyleChoice, style: int, state: State) -> tuple[int, Box]:
    return ORD, engine.node(node.branches[style >> 1], style, state)


def layout_sized_box(engine: LayoutEngine, node: SizedBox, style: int, state: State) -> tuple[int, Box]:
    body = engine.node(node.body, style, state)
    x = {"l": 0.0, "r": node.width_em - body.width}.get(node.align, (node.width_em - body.width) / 2)
    return ORD, Box(node.width_em, body.height, body.depth, ((x, 0.0, body),))


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
    Intertext: layout_intertext,
    StyleChoice: layout_style_choice,
    SizedBox: layout_sized_box,
    Sideset: layout_sideset,
    Cancel: layout_cancel,
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
