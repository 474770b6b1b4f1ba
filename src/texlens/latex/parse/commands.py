"""What each command that takes arguments becomes: the table that the parser looks commands up in."""

from texlens.latex.parse import symbols as sym
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
    Middle,
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
    Space,
    Stack,
    Stretch,
    StyleChoice,
    Symbol,
    Text,
)
from texlens.latex.parse.recursive_descent import (
    DIMENSION,
    SYMBOL_NODES,
    Handler,
    Parser,
    length_em,
)
from texlens.latex.parse.tables import multicolumn
from texlens.latex.parse.tables import table as table_of_environment
from texlens.latex.parse.text_mode import text_argument

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
_GROWING = {"\\Bra": ("\\langle", "|"), "\\Ket": ("|", "\\rangle"), "\\Braket": ("\\langle", "\\rangle")}
_GROWING |= {"\\Set": ("\\{", "\\}")}
"""The braket package's, which grow; a `|` in `\\Braket` and `\\Set` grows with them."""
_CANCELS = {"\\cancel": "/", "\\bcancel": "\\", "\\xcancel": "x"}
_OPTIONS = {"\\linebreak": 1, "\\nolinebreak": 1, "\\pagebreak": 1, "\\nopagebreak": 1, "\\displaybreak": 1}
_OPTIONS |= {"\\allowdisplaybreaks": 1, "\\color": 1, "\\MoveEqLeft": 1}
"""Commands without ink that take an option."""


def _ignored(parser: Parser, text: str) -> None:
    if parser.texts[parser.i] == "*":
        parser.i += 1
    if text in _OPTIONS:
        parser.raw_optional()
    for _ in range(sym.IGNORED[text]):
        parser.raw(text)


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


def _text(parser: Parser, text: str) -> Node:
    return Text(text, text_argument(parser, text), sym.TEXT_COMMANDS[text])


def _sized_text(parser: Parser, text: str) -> Node:
    r"""`\makebox[2em][r]{…}`, `\framebox[2em]{…}`, `\hbox to 2em{…}`: words in a box of a given width."""
    width, align = _box_size(parser, text)
    words = Text("\\mbox" if text != "\\hbox" else text, text_argument(parser, text), "rm")
    body = words if width is None else SizedBox("\\makebox", words, width, align)
    return Boxed("\\fbox", body) if text == "\\framebox" else body


def _box_size(parser: Parser, text: str) -> tuple[float | None, str]:
    if text == "\\hbox":
        if parser.texts[parser.i : parser.i + 2] != ["t", "o"]:
            return None, "l"
        parser.i += 2
        return parser.dimension(), "l"
    width, align = parser.raw_optional(), (parser.raw_optional() or "c").strip()
    match = None if width is None else DIMENSION.fullmatch(width.strip())
    if width is not None and (match is None or match[3] is None):
        raise parser.error(f"the width of `{text}` is `{width}`; give a length such as 2em")
    return (None if match is None else length_em(match)), align if align in ("l", "c", "r") else "c"


def _framed(parser: Parser, text: str) -> Node:
    return Boxed(text, Text("\\text", text_argument(parser, text), "rm"))


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
    parts = text_argument(parser, text)
    words = Text("\\text", parts if starred else ("(", *parts, ")"), "rm")
    return Macro("\\tag", (words,), Row((Space("\\qquad", 2.0), words)))


def _equation_number(parser: Parser, text: str) -> Node:
    r"""Plain TeX's `\eqno`: all that follows on the line is the number, in math."""
    number = Row(tuple(parser.items(parser.stops)))
    words = Text("\\text", (number,) if number.items else (), "rm")
    return Macro("\\tag", (words,), Row((Space("\\qquad", 2.0), words)))


def _end_of_proof(parser: Parser, text: str) -> Node:
    return Macro(text, (), Row((Space("\\qquad", 2.0), SYMBOL_NODES["\\square"])))


def _space(parser: Parser, text: str) -> Node:
    if parser.texts[parser.i] == "*":
        parser.i += 1
    braced = text == "\\hspace" or parser.texts[parser.i] == "{"
    return Space(text, parser.braced_dimension(text) if braced else parser.dimension())


def _bar(parser: Parser, text: str) -> Node:
    raised = 0.0
    if parser.texts[parser.i] == "[":
        match = DIMENSION.match(parser.raw_optional() or "")
        raised = length_em(match) if match else 0.0
    return Bar(text, parser.braced_dimension(text), parser.braced_dimension(text), raised)


def _raised(parser: Parser, text: str) -> Node:
    sign = -1 if text == "\\lower" else 1
    if text != "\\raisebox":
        shift = parser.dimension()
        return Raised(text, parser.argument(text), sign * shift)
    shift = parser.braced_dimension(text)
    parser.raw_optional()
    parser.raw_optional()
    return Raised(text, Text("\\text", text_argument(parser, text), "rm"), shift)


def _colored(parser: Parser, text: str) -> Node:
    parser.raw_optional()
    parser.raw(text)
    if text == "\\fcolorbox":
        parser.raw(text)
    if text in ("\\colorbox", "\\fcolorbox"):
        words = Text("\\text", text_argument(parser, text), "rm")
        return Boxed("\\fbox", words) if text == "\\fcolorbox" else words
    return parser.argument(text)


def _reference(parser: Parser, text: str) -> Node:
    """What LaTeX prints for a reference that it can't resolve."""
    note = parser.raw_optional() if text == "\\cite" else None
    parser.raw(text)
    unknown = Text("{", (FontSwitch("\\bf", "bf"), "?" if text == "\\cite" else "??"), "")
    if text == "\\ref":
        return Text("\\textbf", ("??",), "bf")
    if text == "\\eqref":
        return Text("\\text", ("(", unknown, ")"), "rm")
    return Text("\\text", ("[", unknown, f", {note}]" if note else "]"), "rm")


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


def _resized(parser: Parser, text: str) -> Node:
    """The body at its own size: the picture is scaled as a whole anyway."""
    for _ in range(2 if text == "\\resizebox" else 1):
        parser.raw(text)
    return parser.argument(text)


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


def _plain_matrix(parser: Parser, text: str) -> Node:
    name, opened = sym.PLAIN_MATRICES[text], parser.i
    closing = "}" if parser.texts[parser.i] == "{" else f"\\end{text[1:]}"
    parser.i += closing == "}"
    body = parser.rows(closing)
    if parser.texts[parser.i] != closing:
        raise parser.error(f"`{text}` is never closed", opened)
    parser.i += 1
    return Matrix(name, body.rows, sym.ENVIRONMENTS[name][2], body.lines, partial_lines=body.partial_lines)


def _intertext(parser: Parser, text: str) -> Node:
    return Intertext(text, Text("\\text", text_argument(parser, text), "rm"))


def _handlers() -> dict[str, Handler]:
    table: dict[str, Handler] = dict.fromkeys(sym.IGNORED, _ignored)
    table |= dict.fromkeys(_FRACTIONS, _fraction)
    table |= dict.fromkeys(sym.TEXT_COMMANDS, _text)
    table |= dict.fromkeys(("\\makebox", "\\framebox", "\\hbox"), _sized_text)
    table |= dict.fromkeys(("\\intertext", "\\shortintertext"), _intertext)
    table |= dict.fromkeys(_GROWING, _growing)
    table |= dict.fromkeys(("\\qed", "\\qedhere"), _end_of_proof)
    table |= dict.fromkeys(sym.PLAIN_MATRICES, _plain_matrix)
    table |= dict.fromkeys(("\\pmod", "\\mod", "\\pod"), _modulo)
    table |= dict.fromkeys(_BRACKETED, _bracketed)
    table |= dict.fromkeys(("\\hspace", "\\hskip", "\\kern", "\\mkern", "\\mskip", "\\mspace"), _space)
    table |= dict.fromkeys(("\\raisebox", "\\raise", "\\lower"), _raised)
    table |= dict.fromkeys(("\\eqno", "\\leqno"), _equation_number)
    table |= dict.fromkeys(("\\textcolor", "\\colorbox", "\\fcolorbox", "\\href"), _colored)
    table |= dict.fromkeys(("\\ref", "\\eqref", "\\cite"), _reference)
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
    for command, traits in _PHANTOMS.items():
        table[command] = lambda p, t, a=traits: _phantom(p, t, a)
    for command, strokes in _CANCELS.items():
        table[command] = lambda p, t, s=strokes: Cancel(t, p.argument(t), s)
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
        "\\fbox": _framed,
        "\\mathchoice": _chosen,
        "\\sideset": _sideset,
        "\\buildrel": _built_relation,
        "\\resizebox": _resized,
        "\\scalebox": _resized,
        "\\vline": lambda p, t: Symbol(t, "|", "ord"),
        "\\slashed": lambda p, t: Negated("\\not", p.argument(t)),
        "\\textsuperscript": lambda p, t: Scripts(None, None, p.argument(t)),
        "\\textsubscript": lambda p, t: Scripts(None, p.argument(t), None),
        "\\multicolumn": multicolumn,
        "\\begin": table_of_environment,
        "\\dots": lambda p, t: Symbol(t, "⋯" if p.before_operator() else "…", "inner"),
        "\\ensuremath": lambda p, t: p.argument(t),
        "\\vcenter": lambda p, t: p.argument(t),
        "\\lefteqn": lambda p, t: Phantom(t, p.argument(t), True, "hd"),
    }
    return table


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


def _phantom(parser: Parser, text: str, traits: tuple[bool, str, str]) -> Node:
    if text == "\\smash":
        side = parser.raw_optional()
        traits = (True, {"t": "wd", "b": "wh"}.get(side or "", "w"), "l")
    return Phantom(text, parser.argument(text), *traits)


def _decorated_limit(text: str, stretch: str) -> Node:
    over = stretch == "\\overline"
    character = (sym.OVER | sym.UNDER)[stretch]
    return Operator(text, "", True, Stretch(stretch, Operator("\\lim", "lim", False), character, over))


COMMANDS = _handlers()
