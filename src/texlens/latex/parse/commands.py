"""What each command that takes arguments becomes: the table that the parser looks commands up in."""

from texlens.latex.parse import symbols as sym
from texlens.latex.parse.nodes import (
    Accent,
    Arrow,
    Bar,
    Big,
    Boxed,
    Classed,
    Delimited,
    FontChange,
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
    Symbol,
    Text,
)
from texlens.latex.parse.recursive_descent import (
    DIMENSION,
    MOST_COLUMNS,
    SYMBOL_NODES,
    Handler,
    Parser,
    column_letters,
    length_em,
)
from texlens.latex.parse.text_mode import text_parts

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
_PHANTOMS = {
    "\\phantom": (False, "whd", "l"),
    "\\hphantom": (False, "w", "l"),
    "\\vphantom": (False, "hd", "l"),
    "\\smash": (True, "w", "l"),
    "\\rlap": (True, "hd", "l"),
    "\\llap": (True, "hd", "r"),
    "\\clap": (True, "hd", "c"),
    "\\mathrlap": (True, "hd", "l"),
    "\\mathllap": (True, "hd", "r"),
    "\\mathclap": (True, "hd", "c"),
}
_CLASSED = {"\\math" + atom: atom for atom in ("ord", "bin", "rel", "open", "close", "punct", "inner")}
_BRACKETED = {"\\bra": ("\\langle", "|"), "\\ket": ("|", "\\rangle"), "\\abs": ("|", "|"), "\\norm": ("\\|", "\\|")}
_BRACKETED |= {"\\braket": ("\\langle", "\\rangle"), "\\set": ("\\{", "\\}")}


def _ignored(parser: Parser, text: str) -> None:
    if parser.texts[parser.i] == "*":
        parser.i += 1
    for _ in range(sym.IGNORED[text]):
        parser.raw(text)


def _fraction(parser: Parser, text: str) -> Node:
    if text == "\\cfrac":
        parser.optional()
    has_rule, left, right, style = _FRACTIONS[text]
    return Fraction(text, parser.argument(text), parser.argument(text), has_rule, left, right, style)


def _general_fraction(parser: Parser, text: str) -> Node:
    left, right = (parser.raw(text).strip() or None for _ in range(2))
    thickness, style = parser.raw(text).strip(), parser.raw(text).strip()
    forced = int(style) * 2 if style in ("0", "1", "2", "3") else None
    has_rule = DIMENSION.sub(r"\2", thickness).strip("0.") != "" or thickness == ""
    left, right = (side if side in sym.DELIMITERS else None for side in (left, right))
    return Fraction(text, parser.argument(text), parser.argument(text), has_rule, left, right, forced)


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
    body = Row(tuple(parser.items(frozenset([closing]))))
    if parser.texts[parser.i] != closing:
        raise parser.error("`\\left` lacks its `\\right`", opened)
    parser.i += 1
    return Delimited(left, parser.delimiter("\\right"), body)


def _text(parser: Parser, text: str) -> Node:
    alphabet = sym.TEXT_COMMANDS[text]
    if text == "\\makebox":
        parser.optional()
        parser.optional()
    if parser.texts[parser.i] == "{":
        parser.i += 1
        return Text(text, text_parts(parser, "}"), alphabet)
    return Text(text, (parser.argument(text),), alphabet)


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


def _bracketed(parser: Parser, text: str) -> Node:
    argument = parser.argument(text)
    left, right = (SYMBOL_NODES[side] for side in _BRACKETED[text])
    return Macro(text, (argument,), Row((Classed("", left, "open"), argument, Classed("", right, "close"))))


def _tag(parser: Parser, text: str) -> Node:
    starred = parser.texts[parser.i] == "*"
    parser.i += starred
    content = parser.raw(text)
    shown = content if starred else f"({content})"
    words = Text("\\text", (shown,), "rm")
    return Macro(text, (words,), Row((Space("\\qquad", 2.0), words)))


def _space(parser: Parser, text: str) -> Node:
    if parser.texts[parser.i] == "*":
        parser.i += 1
    braced = text == "\\hspace" or parser.texts[parser.i] == "{"
    return Space(text, parser.braced_dimension(text) if braced else parser.dimension())


def _bar(parser: Parser, text: str) -> Node:
    raised = 0.0
    if parser.texts[parser.i] == "[":
        match = DIMENSION.match(parser.formula, parser.tokens[parser.i].end)
        raised = length_em(match) if match else 0.0
        parser.optional()
    return Bar(text, parser.braced_dimension(text), parser.braced_dimension(text), raised)


def _raised(parser: Parser, text: str) -> Node:
    sign = -1 if text == "\\lower" else 1
    shift = parser.braced_dimension(text) if text == "\\raisebox" else parser.dimension()
    if text == "\\raisebox" and parser.texts[parser.i] == "{":
        parser.i += 1
        return Raised(text, Text("\\text", text_parts(parser, "}"), "rm"), shift)
    return Raised(text, parser.argument(text), sign * shift)


def _colored(parser: Parser, text: str) -> Node:
    if parser.texts[parser.i] == "[":
        parser.optional()
    parser.raw(text)
    return parser.argument(text)


def _reference(parser: Parser, text: str) -> Node:
    parser.raw(text)
    return Text(text, ("??",), "bf")


def _chosen(parser: Parser, text: str) -> Node:
    choices = [parser.argument(text) for _ in range(4)]
    return choices[0]


def _built_relation(parser: Parser, text: str) -> Node:
    r"""Plain TeX's `\buildrel over \over base`."""
    over = Row(tuple(parser.items(frozenset(["\\over"]))), braced=True)
    if parser.texts[parser.i] != "\\over":
        raise parser.error("`\\buildrel` lacks its `\\over`")
    parser.i += 1
    return Stack("\\stackrel", parser.argument(text), over)


def _resized(parser: Parser, text: str) -> Node:
    """The body at its own size: the picture is scaled as a whole anyway."""
    for _ in range(2 if text == "\\resizebox" else 1):
        parser.raw(text)
    return parser.argument(text)


def _sideset(parser: Parser, text: str) -> Node:
    return Row((parser.argument(text), parser.argument(text)))


def _plain_matrix(parser: Parser, text: str) -> Node:
    name, opened = sym.PLAIN_MATRICES[text], parser.i
    closing = "}" if parser.texts[parser.i] == "{" else f"\\end{text[1:]}"
    parser.i += closing == "}"
    rows, lines = parser.rows(closing)
    if parser.texts[parser.i] != closing:
        raise parser.error(f"`{text}` is never closed", opened)
    parser.i += 1
    return Matrix(name, rows, sym.ENVIRONMENTS[name][2], lines)


def _multicolumn(parser: Parser, text: str) -> Node:
    digits = parser.raw(text).strip()
    span = min(int(digits), MOST_COLUMNS) if digits.isdecimal() and len(digits) < 4 else 1
    return Multicolumn(span, column_letters(parser.raw(text)), parser.argument(text))


def _handlers() -> dict[str, Handler]:
    table: dict[str, Handler] = dict.fromkeys(sym.IGNORED, _ignored)
    table |= dict.fromkeys(_FRACTIONS, _fraction)
    table |= dict.fromkeys(sym.TEXT_COMMANDS, _text)
    table |= dict.fromkeys(sym.PLAIN_MATRICES, _plain_matrix)
    table |= dict.fromkeys(("\\pmod", "\\mod", "\\pod"), _modulo)
    table |= dict.fromkeys(_BRACKETED, _bracketed)
    table |= dict.fromkeys(("\\hspace", "\\hskip", "\\kern", "\\mkern", "\\mskip", "\\mspace"), _space)
    table |= dict.fromkeys(("\\raisebox", "\\raise", "\\lower"), _raised)
    table |= dict.fromkeys(("\\eqno", "\\leqno"), _tag)
    table |= dict.fromkeys(("\\textcolor", "\\colorbox", "\\href"), _colored)
    table |= dict.fromkeys(("\\ref", "\\eqref", "\\cite"), _reference)
    for command, character in sym.ACCENTS.items():
        table[command] = lambda p, t, c=character: Accent(t, p.argument(t), c)
    for command, character in sym.WIDE_ACCENTS.items():
        table[command] = lambda p, t, c=character: Accent(t, p.argument(t), c, wide=True)
    for over, stretches in ((True, sym.OVER), (False, sym.UNDER)):
        for command, character in stretches.items():
            table[command] = lambda p, t, c=character, o=over: Stretch(t, p.argument(t), c, o)
    for command, character in sym.ARROWS.items():
        table[command] = lambda p, t, c=character: _arrow(p, t, c)
    for command, alphabet in sym.FONT_COMMANDS.items():
        table[command] = lambda p, t, a=alphabet: FontChange(t, a, p.argument(t))
    for command, atom in _CLASSED.items():
        table[command] = lambda p, t, a=atom: Classed(t, p.argument(t), a)
    for command, traits in _PHANTOMS.items():
        table[command] = lambda p, t, a=traits: _phantom(p, t, a)
    for command in sym.BIG:
        table[command] = lambda p, t: Big(t, p.delimiter(t))
    for command, stretch in sym.DECORATED_LIMITS.items():
        table[command] = lambda p, t, s=stretch: _decorated_limit(t, s)
    table |= {
        "\\genfrac": _general_fraction,
        "\\sqrt": _radical,
        "\\root": _root_of,
        "\\left": _delimited,
        "\\mleft": _delimited,
        "\\middle": lambda p, t: Middle(p.delimiter(t)),
        "\\operatorname": _operator_name,
        "\\operatornamewithlimits": lambda p, t: Operator(t, "", True, FontChange("\\mathrm", "rm", p.argument(t))),
        "\\mathop": lambda p, t: Operator(t, "", True, p.argument(t)),
        "\\not": _negated,
        "\\tag": _tag,
        "\\rule": _bar,
        "\\overset": lambda p, t: _stack(p, t, over=True),
        "\\underset": lambda p, t: _stack(p, t, over=False),
        "\\stackrel": lambda p, t: _stack(p, t, over=True),
        "\\stackunder": lambda p, t: _stack(p, t, over=False),
        "\\boxed": lambda p, t: Boxed(t, p.argument(t)),
        "\\fbox": lambda p, t: Boxed(t, _framed_text(p)),
        "\\framebox": lambda p, t: Boxed(t, _framed_text(p)),
        "\\mathchoice": _chosen,
        "\\sideset": _sideset,
        "\\buildrel": _built_relation,
        "\\resizebox": _resized,
        "\\scalebox": _resized,
        "\\vline": lambda p, t: Symbol(t, "|", "ord"),
        "\\slashed": lambda p, t: Negated("\\not", p.argument(t)),
        "\\textsuperscript": lambda p, t: Scripts(None, None, p.argument(t)),
        "\\textsubscript": lambda p, t: Scripts(None, p.argument(t), None),
        "\\multicolumn": _multicolumn,
        "\\dots": lambda p, t: Symbol(t, "⋯" if p.before_operator() else "…", "inner"),
        "\\ensuremath": lambda p, t: p.argument(t),
        "\\vcenter": lambda p, t: p.argument(t),
        "\\lefteqn": lambda p, t: Phantom(t, p.argument(t), True, "hd"),
    }
    return table


def _arrow(parser: Parser, text: str, character: str) -> Node:
    under = parser.optional()
    return Arrow(text, character, parser.argument(text), under)


def _stack(parser: Parser, text: str, over: bool) -> Node:
    small, base = parser.argument(text), parser.argument(text)
    return Stack(text, base, small if over else None, None if over else small)


def _phantom(parser: Parser, text: str, traits: tuple[bool, str, str]) -> Node:
    if text == "\\smash":
        parser.optional()
    return Phantom(text, parser.argument(text), *traits)


def _framed_text(parser: Parser) -> Node:
    if parser.texts[parser.i] != "{":
        return parser.argument("\\fbox")
    parser.i += 1
    return Text("\\text", text_parts(parser, "}"), "rm")


def _decorated_limit(text: str, stretch: str) -> Node:
    over = stretch == "\\overline"
    character = (sym.OVER | sym.UNDER)[stretch]
    return Operator(text, "", True, Stretch(stretch, Operator("\\lim", "lim", False), character, over))


COMMANDS = _handlers()
