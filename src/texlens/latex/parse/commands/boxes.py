"""Words, boxes and spaces, and the commands that leave no mark."""

from texlens.latex.parse import symbols as sym
from texlens.latex.parse.lengths import DIMENSION, length_em
from texlens.latex.parse.nodes import Bar, Boxed, Node, Phantom, Raised, SizedBox, Space, Text
from texlens.latex.parse.recursive_descent import Handler, Parser
from texlens.latex.parse.text_mode import text_argument

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


def _resized(parser: Parser, text: str) -> Node:
    """The body at its own size: the picture is scaled as a whole anyway."""
    for _ in range(2 if text == "\\resizebox" else 1):
        parser.raw(text)
    return parser.argument(text)


def _phantom(parser: Parser, text: str) -> Node:
    traits = _PHANTOMS[text]
    if text == "\\smash":
        side = parser.raw_optional()
        traits = (True, {"t": "wd", "b": "wh"}.get(side or "", "w"), "l")
    return Phantom(text, parser.argument(text), *traits)


HANDLERS: dict[str, Handler] = dict.fromkeys(sym.IGNORED, _ignored)
HANDLERS |= dict.fromkeys(sym.TEXT_COMMANDS, _text)
HANDLERS |= dict.fromkeys(("\\makebox", "\\framebox", "\\hbox"), _sized_text)
HANDLERS |= dict.fromkeys(("\\hspace", "\\hskip", "\\kern", "\\mkern", "\\mskip", "\\mspace"), _space)
HANDLERS |= dict.fromkeys(("\\raisebox", "\\raise", "\\lower"), _raised)
HANDLERS |= dict.fromkeys(("\\textcolor", "\\colorbox", "\\fcolorbox", "\\href"), _colored)
HANDLERS |= dict.fromkeys(_PHANTOMS, _phantom)
HANDLERS |= dict.fromkeys(("\\resizebox", "\\scalebox"), _resized)
HANDLERS |= {
    "\\rule": _bar,
    "\\boxed": lambda p, t: Boxed(t, p.argument(t)),
    "\\fbox": _framed,
    "\\ensuremath": lambda p, t: p.argument(t),
    "\\vcenter": lambda p, t: p.argument(t),
    "\\lefteqn": lambda p, t: Phantom(t, p.argument(t), True, "hd"),
}
