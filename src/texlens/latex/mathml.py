"""MathML from our own parse tree, so that it shows what the drawing shows; every formula that draws converts."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from unicodedata import normalize
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from texlens.core.errors import LatexError
from texlens.latex.layout.engine import State, cell_state, changed, operator_letters, subscript_style, superscript_style
from texlens.latex.layout.matrices import columns_of, fences
from texlens.latex.layout.structures import takes_limits
from texlens.latex.parse import nodes
from texlens.latex.parse import symbols as sym
from texlens.latex.parse.alphabets import styled, text_font
from texlens.latex.parse.nodes import Node, Row
from texlens.latex.parse.parser import parse

_PLAIN: State = ("", False)
_ROW_SPACING_EM = 0.43  # MathML's own distance of rows
_SPACING_ACCENTS = {"\u0302": "^", "\u0303": "~", "\u0304": "‾", "\u20d7": "→", "\u0307": "˙", "\u0308": "¨"}
_SPACING_ACCENTS |= {"\u20db": "⃛", "\u20dc": "⃜", "\u030c": "ˇ", "\u0306": "˘", "\u0301": "´", "\u0300": "`"}
_SPACING_ACCENTS |= {"\u030a": "˚", "\u0323": ".", "\u0331": "_", "\u0327": "¸", "\u030b": "˝", "\u0305": "‾"}
_CANCELS = {"/": "updiagonalstrike", "\\": "downdiagonalstrike", "x": "updiagonalstrike downdiagonalstrike"}
_DIGIT_VARIANTS = {"frak": "fraktur", "it": "italic"}
"""Fonts whose digits Unicode has no place for."""
_ALIGNMENTS = {"l": "left", "c": "center", "r": "right"}
MOVING_LIMITS = frozenset("∑∏∐⋀⋁⋂⋃⨀⨁⨂⨃⨄⨅⨆⨉")
"""Operators whose limits a renderer moves to the side in text style (the operator dictionary of MathML Core)."""
_OPERATOR_CLASSES = frozenset(["bin", "rel", "punct", "op", "open", "close", "inner"])


def to_mathml(latex: str) -> tuple[str | None, str | None]:
    """A `<math>` element in display style, or None and the reason why the formula can't be drawn."""
    try:
        tree = parse(latex)
        children = _children(tree.items, 0, _PLAIN)
    except LatexError as problem:
        return None, f"not a formula that can be drawn: {problem}"
    except RecursionError:
        return None, "the formula is nested too deeply for this thread's stack"
    root = Element("math", {"xmlns": "http://www.w3.org/1998/Math/MathML", "display": "block"})
    root.append(_single(children))
    return ElementTree.tostring(root, encoding="unicode"), None


# Rows


def _children(items: Iterable[Node], style: int, state: State) -> list[Element]:
    """Nodes side by side; digits become one number, and a switch acts on what follows it."""
    out: list[Element] = []
    sequence = list(items)
    for i, item in enumerate(sequence):
        if isinstance(item, nodes.FontSwitch):
            state = changed(state, item.alphabet)
        elif isinstance(item, nodes.StyleChange):
            inner = _children(sequence[i + 1 :], item.style | (style & 1), state)
            return [*out, _styled(inner, item.style)]
        elif isinstance(item, nodes.Symbol):
            _append_symbol(out, _symbol(item, style, state))
        else:
            out.append(_WRITERS[type(item)](item, style, state))
    return out


def _append_symbol(out: list[Element], element: Element) -> None:
    if out and element.tag == out[-1].tag == "mn" and out[-1].attrib == element.attrib:
        out[-1].text = (out[-1].text or "") + (element.text or "")
    else:
        out.append(element)


def _single(elements: Sequence[Element]) -> Element:
    return elements[0] if len(elements) == 1 else _element("mrow", *elements)


def _node(node: Node | None, style: int, state: State) -> Element:
    if node is None:
        return Element("mrow")
    items = node.items if isinstance(node, Row) else (node,)
    return _single(_children(items, style, state))


def _element(tag: str, *children: Element, **attributes: str) -> Element:
    element = Element(tag, attributes)
    element.extend(children)
    return element


def _word(tag: str, text: str, **attributes: str) -> Element:
    element = Element(tag, attributes)
    element.text = text
    return element


def _styled(children: Sequence[Element], style: int) -> Element:
    level = max(0, (style >> 1) - 1)
    return _element("mstyle", *children, displaystyle="true" if style < 2 else "false", scriptlevel=str(level))


# Symbols and words


def _symbol(node: nodes.Symbol, style: int, state: State) -> Element:
    character = node.character
    if node.atom in _OPERATOR_CLASSES:
        if node.atom in ("open", "close"):
            return _word("mo", character, stretchy="false")
        return _word("mo", character)
    shown = styled(character, *state) if len(character) == 1 else character
    if character.isdecimal():
        variant = _DIGIT_VARIANTS.get(state[0]) if shown == character else None
        return _word("mn", shown, mathvariant=variant) if variant else _word("mn", shown)
    if not character.isalpha() and len(character) == 1 and shown == character:
        return _word("mo", character, stretchy="false") if character in "|‖/\\" else _word("mi", character)
    if shown == styled(character, "", False) and len(character) == 1 and not _is_upright(shown):
        return _word("mi", character)
    return _word("mi", shown, mathvariant="normal") if len(shown) == 1 and _is_upright(shown) else _word("mi", shown)


def _is_upright(character: str) -> bool:
    """Whether a renderer would slant this single letter although it is drawn upright."""
    return ord(character) < 0x2100 and character.isalpha()


def _text(node: nodes.Text, style: int, state: State) -> Element:
    return _single(_text_elements(node, "rm", ("", state[1])) or [Element("mrow")])


def _text_elements(node: nodes.Text, font: str, math_state: State) -> list[Element]:
    font = text_font(font, node.source)
    out: list[Element] = []
    for part in node.parts:
        if isinstance(part, str):
            for letter in part:
                _append_letter(out, letter, font)
        elif isinstance(part, nodes.FontSwitch):
            if part.alphabet in ("bold", "unbold"):
                math_state = changed(math_state, part.alphabet)
            else:
                font = text_font(font, part.source)
        elif isinstance(part, nodes.Text):
            out += _text_elements(part, font, math_state)
        else:
            out.append(_node(part, 2, math_state))
    return out


def _append_letter(out: list[Element], letter: str, font: str) -> None:
    """One more character of words in one font; a digit that Unicode has no place for is named by its variant."""
    text = "\u00a0" if letter.isspace() else styled(letter, font, False)
    variant = _DIGIT_VARIANTS.get(font) if letter.isdecimal() and text == letter else None
    if out and out[-1].tag == "mtext" and out[-1].get("mathvariant") == variant:
        out[-1].text = (out[-1].text or "") + text
    else:
        out.append(_word("mtext", text, **({"mathvariant": variant} if variant else {})))


def _space(node: nodes.Space, style: int, state: State) -> Element:
    return Element("mspace", {"width": _em(node.width_em)})


def _em(length: float) -> str:
    return f"{length:.4g}em"


def _operator(node: nodes.Operator, style: int, state: State) -> Element:
    if node.body is None:
        return _word("mi", operator_letters(node.name, state).replace(" ", "\u2009"))
    element = _node(node.body, style, state)
    letters = [child for child in element.iter() if child.text]
    if len(letters) > 1 and all(map(_joins, letters)) and not _has_structure(element):
        return _word("mi", "".join(child.text or "" for child in letters))
    return element


def _joins(element: Element) -> bool:
    """Whether a letter looks the same within a longer name, which is upright."""
    text = element.text or ""
    return element.tag in ("mn", "mtext") or (
        element.tag == "mi" and (len(text) > 1 or element.get("mathvariant") == "normal" or ord(text) > 0xFFFF)
    )


def _has_structure(element: Element) -> bool:
    return any(child.tag not in ("mrow", "mi", "mn", "mtext", "mstyle") for child in element.iter())


# Scripts, fractions, roots


def _scripts(node: nodes.Scripts, style: int, state: State) -> Element:
    sub = None if node.sub is None else _node(node.sub, subscript_style(style), state)
    sup = None if node.sup is None else _node(node.sup, superscript_style(style), state)
    base = _node(node.base, style, state)
    is_limit = isinstance(node.base, nodes.Sideset) or takes_limits(node.base, node.limits, style)
    return _around(_fixed(base, style) if is_limit else base, sub, sup, is_limit)


def _around(base: Element, sub: Element | None, sup: Element | None, is_limit: bool) -> Element:
    if sub is not None and sup is not None:
        return _element("munderover" if is_limit else "msubsup", base, sub, sup)
    if sub is not None:
        return _element("munder" if is_limit else "msub", base, sub)
    return base if sup is None else _element("mover" if is_limit else "msup", base, sup)


def _fixed(base: Element, style: int) -> Element:
    """The base of what stays over and under it, in text style too."""
    if style > 1 and base.tag == "mo" and base.text in MOVING_LIMITS:
        base.set("movablelimits", "false")
    return base


def _fraction(node: nodes.Fraction, style: int, state: State) -> Element:
    within = style if node.style is None else node.style | (style & 1)
    inner = within + 2 if within < 6 else within
    parts = _node(node.numerator, inner, state), _node(node.denominator, inner | 1, state)
    attributes = {} if node.has_rule else {"linethickness": "0"}
    if node.has_rule and node.thickness_em is not None:
        attributes["linethickness"] = _em(node.thickness_em)
    fraction = _element("mfrac", *parts, **attributes)
    if node.style is not None:
        fraction = _styled([fraction], node.style)
    return _fenced(node.left, node.right, [fraction]) if node.left or node.right else fraction


def _radical(node: nodes.Radical, style: int, state: State) -> Element:
    body = _node(node.body, style | 1, state)
    return _element("msqrt", body) if node.degree is None else _element("mroot", body, _node(node.degree, 6, state))


def _fenced(left: str | None, right: str | None, children: Sequence[Element]) -> Element:
    return _element("mrow", *_fence(left), *children, *_fence(right))


def _fence(token: str | None) -> list[Element]:
    character = "" if token is None else sym.DELIMITERS.get(token, token)
    return [_word("mo", character, fence="true", stretchy="true")] if character else []


def _delimited(node: nodes.Delimited, style: int, state: State) -> Element:
    return _fenced(node.left, node.right, _children(node.body.items, style, state))


def _middle(node: nodes.Middle, style: int, state: State) -> Element:
    return _single(_fence(node.delimiter))


def _big(node: nodes.Big, style: int, state: State) -> Element:
    size = _em(sym.BIG[node.source][0])
    character = sym.DELIMITERS.get(node.delimiter, node.delimiter)
    return _word("mo", character, stretchy="true", minsize=size, maxsize=size)


# Over, under, around


def _accent(node: nodes.Accent, style: int, state: State) -> Element:
    mark = _word(
        "mo", _SPACING_ACCENTS.get(node.character, node.character), stretchy="true" if node.is_wide else "false"
    )
    body = _node(node.body, style | 1, state)
    body = _fixed(body, style)
    if node.character in sym.UNDER_ACCENTS:
        return _element("munder", body, mark, accentunder="true")
    return _element("mover", body, mark, accent="true")


def _stretch(node: nodes.Stretch, style: int, state: State) -> Element:
    character = node.character or ("‾" if node.over else "_")
    mark = _word("mo", _SPACING_ACCENTS.get(character, character), stretchy="true")
    return _element("mover" if node.over else "munder", _fixed(_node(node.body, style, state), style), mark)


def _stack(node: nodes.Stack, style: int, state: State) -> Element:
    over = None if node.over is None else _node(node.over, superscript_style(style), state)
    under = None if node.under is None else _node(node.under, subscript_style(style), state)
    return _around(_fixed(_node(node.base, style, state), style), under, over, is_limit=True)


def _arrow(node: nodes.Arrow, style: int, state: State) -> Element:
    under = None if node.under is None else _node(node.under, subscript_style(style), state)
    arrow = _word("mo", node.character, stretchy="true")
    return _around(arrow, under, _node(node.over, superscript_style(style), state), is_limit=True)


def _sideset(node: nodes.Sideset, style: int, state: State) -> Element:
    def script(corner: Node | None) -> Element:
        return Element("mrow") if corner is None else _node(corner, superscript_style(style), state)

    base = _node(node.base, style, state)
    right, left = (node.right_sub, node.right_sup), (node.left_sub, node.left_sup)
    return _element("mmultiscripts", base, *map(script, right), Element("mprescripts"), *map(script, left))


def _negated(node: nodes.Negated, style: int, state: State) -> Element:
    body = node.body.items[0] if isinstance(node.body, Row) and len(node.body.items) == 1 else node.body
    element = _node(body, style, state)
    if isinstance(body, nodes.Symbol) and element.text and len(element.text) == 1:
        element.text = normalize("NFC", element.text + "\u0338")
        return element
    return _element("menclose", element, notation="updiagonalstrike")


def _phantom(node: nodes.Phantom, style: int, state: State) -> Element:
    body = _node(node.body, style, state)
    element = body if node.visible else _element("mphantom", body)
    lost = {"w": "width", "h": "height", "d": "depth"}
    zero = {name: "0" for letter, name in lost.items() if letter not in node.keeps}
    return _element("mpadded", element, **zero) if zero else element


# Tables


def _matrix(node: nodes.Matrix, style: int, state: State) -> Element:
    cell_style = sym.ENVIRONMENTS[node.environment][3] or 0
    state = cell_state(state)
    alignments, gaps = columns_of(node)
    inserts = iter(node.inserts)
    between = [[next(inserts) for letter in gap if letter in "@!"] for gap in gaps]
    rows = [_table_row(row, between, cell_style, state) for row in node.rows]
    count = max(1, len(gaps) - 1)
    attributes = {"columnalign": " ".join(_ALIGNMENTS[letter] for letter in alignments[:count])}
    if cell_style == 0:
        attributes |= {"displaystyle": "true"}
    if node.lines or node.partial_lines:
        drawn = {line if line >= 0 else -1 - line for line in node.lines} | {row for row, *_ in node.partial_lines}
        kinds = ("solid" if row in drawn else "none" for row in range(1, len(node.rows)))
        attributes["rowlines"] = " ".join(kinds) or "none"
    if any("|" in gap or ":" in gap for gap in gaps[1:-1]):
        kinds = ("solid" if "|" in gap else "dashed" if ":" in gap else "none" for gap in gaps[1:-1])
        attributes["columnlines"] = " ".join(kinds)
    if node.gaps:
        extra = dict(node.gaps)
        attributes["rowspacing"] = " ".join(_em(_ROW_SPACING_EM + extra.get(row, 0.0)) for row in range(len(rows)))
    table = _framed(node, _element("mtable", *rows, **attributes), gaps)
    left, right = fences(node.environment)
    return table if left is None else _fenced(left, right, [table])


def _framed(node: nodes.Matrix, table: Element, gaps: Sequence[Sequence[str]]) -> Element:
    """The table with the rules at its edges."""
    lines = {line if line >= 0 else -1 - line for line in node.lines} | {row for row, *_ in node.partial_lines}
    sides = {"top": 0 in lines, "bottom": bool(node.rows) and len(node.rows) in lines}
    sides |= {"left": bool(set(gaps[0]) & set("|:")), "right": len(gaps) > 1 and bool(set(gaps[-1]) & set("|:"))}
    kinds = " ".join(side for side, is_drawn in sides.items() if is_drawn)
    return _element("menclose", table, notation=kinds) if kinds else table


def _table_row(row: Sequence[Node], between: Sequence[Sequence[Node]], style: int, state: State) -> Element:
    cells: list[Element] = []
    for i, content in enumerate(row):
        only = content.items[0] if isinstance(content, Row) and len(content.items) == 1 else None
        before = [_node(insert, style, state) for insert in between[i]] if i < len(between) else []
        after = [_node(insert, style, state) for insert in between[i + 1]] if i + 2 == len(between) else []
        if isinstance(only, nodes.Multicolumn):
            cells.append(_element("mtd", _node(only.body, style, state), columnspan=str(max(1, only.span))))
        elif isinstance(only, nodes.Intertext):
            cells.append(_element("mtd", _text(only.body, 2, state), columnspan=str(len(between)), columnalign="left"))
        else:
            items = content.items if isinstance(content, Row) else (content,)
            cells.append(_element("mtd", *before, *_children(items, style, state), *after))
    return _element("mtr", *cells)


def _multicolumn(node: nodes.Multicolumn, style: int, state: State) -> Element:
    return _node(node.body, style, state)


# The rest


def _raised(node: nodes.Raised, style: int, state: State) -> Element:
    return _element("mpadded", _node(node.body, style, state), voffset=_em(node.shift_em))


def _boxed(node: nodes.Boxed, style: int, state: State) -> Element:
    return _element("menclose", _node(node.body, style if node.source == "\\boxed" else 2, state), notation="box")


def _sized_box(node: nodes.SizedBox, style: int, state: State) -> Element:
    return _element("mpadded", _node(node.body, style, state), width=_em(node.width_em))


def _cancel(node: nodes.Cancel, style: int, state: State) -> Element:
    return _element("menclose", _node(node.body, style, state), notation=_CANCELS[node.strokes])


def _bar(node: nodes.Bar, style: int, state: State) -> Element:
    size = {"width": _em(node.width_em), "height": _em(node.height_em + node.raise_em), "depth": _em(-node.raise_em)}
    return Element("mspace", {**size, "mathbackground": "black"})


def _font_change(node: nodes.FontChange, style: int, state: State) -> Element:
    return _node(node.body, style, changed(state, node.alphabet))


_WRITERS: dict[type, Callable[[Any, int, State], Element]] = {
    Row: _node,
    nodes.Text: _text,
    nodes.Space: _space,
    nodes.Operator: _operator,
    nodes.Scripts: _scripts,
    nodes.Fraction: _fraction,
    nodes.Radical: _radical,
    nodes.Delimited: _delimited,
    nodes.Middle: _middle,
    nodes.Big: _big,
    nodes.Accent: _accent,
    nodes.Stretch: _stretch,
    nodes.Stack: _stack,
    nodes.Arrow: _arrow,
    nodes.Sideset: _sideset,
    nodes.Negated: _negated,
    nodes.Phantom: _phantom,
    nodes.Matrix: _matrix,
    nodes.Multicolumn: _multicolumn,
    nodes.Raised: _raised,
    nodes.Boxed: _boxed,
    nodes.SizedBox: _sized_box,
    nodes.Cancel: _cancel,
    nodes.Bar: _bar,
    nodes.FontChange: _font_change,
    nodes.Classed: lambda node, style, state: _node(node.body, style, state),
    nodes.Macro: lambda node, style, state: _node(node.expansion, style, state),
    nodes.StyleChoice: lambda node, style, state: _node(node.branches[style >> 1], style, state),
    nodes.Intertext: lambda node, style, state: _text(node.body, style, state),
}
