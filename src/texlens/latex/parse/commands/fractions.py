"""Fractions, roots and delimiters."""

from texlens.latex.parse import symbols as sym
from texlens.latex.parse.lengths import DIMENSION, length_em
from texlens.latex.parse.nodes import (
    Big,
    Classed,
    Delimited,
    Fraction,
    Macro,
    Middle,
    Node,
    Radical,
    Row,
    Space,
    Symbol,
)
from texlens.latex.parse.recursive_descent import Handler, Parser
from texlens.latex.parse.symbol_nodes import SYMBOL_NODES

_FRACTIONS: dict[str, tuple[bool, str | None, str | None, int | None]] = {
    "\\frac": (True, None, None, None),
    "\\dfrac": (True, None, None, 0),
    "\\tfrac": (True, None, None, 2),
    "\\cfrac": (True, None, None, 0),
    "\\nicefrac": (True, None, None, 2),
    "\\sfrac": (True, None, None, 2),
    "\\binom": (False, "(", ")", None),
    "\\dbinom": (False, "(", ")", 0),
    "\\tbinom": (False, "(", ")", 2),
}
_BRACKETED = {"\\bra": ("\\langle", "|"), "\\ket": ("|", "\\rangle"), "\\abs": ("|", "|"), "\\norm": ("\\|", "\\|")}
_BRACKETED |= {"\\braket": ("\\langle", "\\rangle"), "\\set": ("\\{", "\\}")}
_GROWING = {"\\Bra": ("\\langle", "|"), "\\Ket": ("|", "\\rangle"), "\\Braket": ("\\langle", "\\rangle")}
_GROWING |= {"\\Set": ("\\{", "\\}")}
"""The braket package's, which grow; a `|` in `\\Braket` and `\\Set` grows with them."""


def _fraction(parser: Parser, text: str) -> Node:
    if text == "\\cfrac":
        parser.raw_optional()
    has_rule, left, right, style = _FRACTIONS[text]
    return Fraction(text, parser.argument(text), parser.argument(text), has_rule, left, right, style)


def _general_fraction(parser: Parser, text: str) -> Node:
    left, right = (parser.raw(text).strip() or None for _ in range(2))
    thickness, style = parser.raw(text).strip(), parser.raw(text).strip()
    forced = int(style) * 2 if style in ("0", "1", "2", "3") else None
    match = DIMENSION.match(thickness)
    em = length_em(match) if match and thickness else None
    left, right = (side if side in sym.DELIMITERS else None for side in (left, right))
    above, below = parser.argument(text), parser.argument(text)
    return Fraction(text, above, below, em != 0, left, right, forced, em)


def _radical(parser: Parser, text: str) -> Node:
    degree = parser.optional()
    return Radical(text, parser.argument(text), degree)


def _root_of(parser: Parser, text: str) -> Node:
    r"""Plain TeX's `\root n \of x`."""
    degree = Row(tuple(parser.items(frozenset(["\\of"]))), braced=True)
    if parser.texts[parser.i] != "\\of":
        raise parser.error("`\\root` lacks its `\\of`")
    parser.i += 1
    return Radical("\\sqrt", parser.argument(text), degree)


def _delimited(parser: Parser, text: str) -> Node:
    opened = parser.i - 1
    left = parser.delimiter(text)
    closing = "\\right" if text == "\\left" else "\\mright"
    stops = frozenset([closing, "\\middle"])
    items = parser.items(stops)
    while parser.texts[parser.i] == "\\middle":
        parser.i += 1
        items += [Middle(parser.delimiter("\\middle")), *parser.items(stops)]
    if parser.texts[parser.i] != closing:
        raise parser.error(f"`{text}` lacks its `{closing}`", opened)
    parser.i += 1
    return Delimited(left, parser.delimiter(closing), Row(tuple(items)))


def _growing(parser: Parser, text: str) -> Node:
    r"""`\Braket{a|b|c}`, `\Set{x|P}`: a `|` of the argument becomes `\middle|`, in a set the first alone."""
    argument = parser.argument(text)
    items = argument.items if isinstance(argument, Row) else (argument,)
    left, right = _GROWING[text]
    body: list[Node] = []
    bars = 0
    for item in items:
        is_bar = isinstance(item, Symbol) and item.character in "|‖" and text in ("\\Braket", "\\Set")
        if not isinstance(item, Symbol) or not is_bar or (text == "\\Set" and bars):
            body.append(item)
            continue
        bars += 1
        space = (Space("\\;", 5 / 18),) if text == "\\Set" else ()
        body += (*space, Middle(item.source), *space)
    if text == "\\Set":
        body = [Space("\\,", 3 / 18), *body, Space("\\,", 3 / 18)]
    return Macro(text, (argument,), Row((Delimited(left, right, Row(tuple(body))),)))


def _bracketed(parser: Parser, text: str) -> Node:
    argument = parser.argument(text)
    left, right = (SYMBOL_NODES[side] for side in _BRACKETED[text])
    return Macro(text, (argument,), Row((Classed("", left, "open"), argument, Classed("", right, "close"))))


HANDLERS: dict[str, Handler] = dict.fromkeys(_FRACTIONS, _fraction)
HANDLERS |= dict.fromkeys(_BRACKETED, _bracketed)
HANDLERS |= dict.fromkeys(_GROWING, _growing)
HANDLERS |= dict.fromkeys(sym.BIG, lambda p, t: Big(t, p.delimiter(t)))
HANDLERS |= {
    "\\genfrac": _general_fraction,
    "\\sqrt": _radical,
    "\\root": _root_of,
    "\\left": _delimited,
    "\\mleft": _delimited,
}
