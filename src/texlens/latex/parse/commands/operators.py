"""Operators, and what is over, under and around a body."""

from texlens.latex.parse import symbols as sym
from texlens.latex.parse.nodes import (
    Accent,
    Arrow,
    Cancel,
    Classed,
    FontChange,
    Macro,
    Negated,
    Node,
    Operator,
    Row,
    Scripts,
    Sideset,
    Space,
    Stack,
    Stretch,
    StyleChoice,
    Symbol,
    Text,
)
from texlens.latex.parse.recursive_descent import Handler, Parser
from texlens.latex.parse.symbol_nodes import SYMBOL_NODES

_CLASSED = {"\\math" + atom: atom for atom in ("ord", "bin", "rel", "open", "close", "punct", "inner")}
_CANCELS = {"\\cancel": "/", "\\bcancel": "\\", "\\xcancel": "x"}


def _operator_name(parser: Parser, text: str) -> Node:
    limits = parser.texts[parser.i] == "*"
    parser.i += limits
    source = text + "*" * limits
    return Operator(source, "", limits, FontChange("\\mathrm", "rm", parser.argument(text)))


def _negated(parser: Parser, text: str) -> Node:
    return Negated(text, parser.argument(text))


def _modulo(parser: Parser, text: str) -> Node:
    argument = parser.argument(text)
    body: list[Node] = [Space("\\quad", 1.0)]
    if text != "\\mod":
        body.append(SYMBOL_NODES["("])
    if text != "\\pod":
        body += (Text("\\text", ("mod",), "rm"), Space("\\,", 6 / 18))
    body.append(argument)
    if text != "\\mod":
        body.append(SYMBOL_NODES[")"])
    return Macro(text, (argument,), Row(tuple(body)))


def _chosen(parser: Parser, text: str) -> Node:
    display, inline, script, scriptscript = (parser.argument(text) for _ in range(4))
    return StyleChoice((display, inline, script, scriptscript))


def _built_relation(parser: Parser, text: str) -> Node:
    r"""Plain TeX's `\buildrel over \over base`."""
    over = Row(tuple(parser.items(frozenset(["\\over"]))), braced=True)
    if parser.texts[parser.i] != "\\over":
        raise parser.error("`\\buildrel` lacks its `\\over`")
    parser.i += 1
    return Stack("\\stackrel", parser.argument(text), over)


def _sideset(parser: Parser, text: str) -> Node:
    opened = parser.i - 1
    left_sub, left_sup = _corner_scripts(parser, text)
    right_sub, right_sup = _corner_scripts(parser, text)
    base = parser.argument(text)
    if not (isinstance(base, Operator) or (isinstance(base, Symbol) and base.atom == "op")):
        raise parser.error(r"`\sideset` needs a large operator after its scripts, such as \sum", opened)
    return Sideset(base, left_sub, left_sup, right_sub, right_sup)


def _corner_scripts(parser: Parser, text: str) -> tuple[Node | None, Node | None]:
    argument = parser.argument(text)
    items = argument.items if isinstance(argument, Row) else (argument,)
    if items and items[0] == Row((), braced=True):
        items = items[1:]
    only = items[0] if len(items) == 1 else None
    if isinstance(only, Scripts) and only.base in (None, Row((), braced=True)):
        return only.sub, only.sup
    if not items:
        return None, None
    if only == SYMBOL_NODES["\\prime"]:
        return None, only
    raise parser.error(f"`{text}` takes scripts alone in its first two arguments, such as {{_a^b}}")


def _arrow(parser: Parser, text: str, character: str) -> Node:
    under = parser.optional()
    return Arrow(text, character, parser.argument(text), under)


def _stretch(parser: Parser, text: str, character: str, over: bool) -> Node:
    if text.endswith("bracket"):  # thickness and height
        parser.raw_optional()
        parser.raw_optional()
    return Stretch(text, parser.argument(text), character, over)


def _stack(parser: Parser, text: str, over: bool) -> Node:
    below = parser.optional() if text == "\\stackrel" else None
    small, base = parser.argument(text), parser.argument(text)
    return Stack(text, base, small if over else None, below if over else small)


def _decorated_limit(text: str, stretch: str) -> Node:
    over = stretch == "\\overline"
    character = (sym.OVER | sym.UNDER)[stretch]
    return Operator(text, "", True, Stretch(stretch, Operator("\\lim", "lim", False), character, over))


def _handlers() -> dict[str, Handler]:
    table: dict[str, Handler] = dict.fromkeys(("\\pmod", "\\mod", "\\pod"), _modulo)
    for command, character in sym.ACCENTS.items():
        table[command] = lambda p, t, c=character: Accent(t, p.argument(t), c)
    for command, character in sym.WIDE_ACCENTS.items():
        table[command] = lambda p, t, c=character: Accent(t, p.argument(t), c, is_wide=True)
    for over, stretches in ((True, sym.OVER), (False, sym.UNDER)):
        for command, character in stretches.items():
            table[command] = lambda p, t, c=character, o=over: _stretch(p, t, c, o)
    for command, character in sym.ARROWS.items():
        table[command] = lambda p, t, c=character: _arrow(p, t, c)
    for command, alphabet in sym.FONT_COMMANDS.items():
        table[command] = lambda p, t, a=alphabet: FontChange(t, a, p.argument(t))
    for command, atom in _CLASSED.items():
        table[command] = lambda p, t, a=atom: Classed(t, p.argument(t), a)
    for command, strokes in _CANCELS.items():
        table[command] = lambda p, t, s=strokes: Cancel(t, p.argument(t), s)
    for command, stretch in sym.DECORATED_LIMITS.items():
        table[command] = lambda p, t, s=stretch: _decorated_limit(t, s)
    return table | {
        "\\operatorname": _operator_name,
        "\\operatornamewithlimits": lambda p, t: Operator(t, "", True, FontChange("\\mathrm", "rm", p.argument(t))),
        "\\mathop": lambda p, t: Operator(t, "", True, p.argument(t)),
        "\\not": _negated,
        "\\slashed": lambda p, t: Negated("\\not", p.argument(t)),
        "\\overset": lambda p, t: _stack(p, t, over=True),
        "\\underset": lambda p, t: _stack(p, t, over=False),
        "\\stackrel": lambda p, t: _stack(p, t, over=True),
        "\\stackunder": lambda p, t: _stack(p, t, over=False),
        "\\mathchoice": _chosen,
        "\\sideset": _sideset,
        "\\buildrel": _built_relation,
        "\\vline": lambda p, t: Symbol(t, "|", "ord"),
        "\\textsuperscript": lambda p, t: Scripts(None, None, p.argument(t)),
        "\\textsubscript": lambda p, t: Scripts(None, p.argument(t), None),
        "\\dots": lambda p, t: Symbol(t, "⋯" if p.before_operator() else "…", "inner"),
    }


HANDLERS = _handlers()
