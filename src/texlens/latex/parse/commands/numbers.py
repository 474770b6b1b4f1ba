"""Numbers of equations, references and the end of a proof."""

from texlens.latex.parse.nodes import FontSwitch, Macro, Node, Row, Space, Text
from texlens.latex.parse.recursive_descent import Handler, Parser
from texlens.latex.parse.symbol_nodes import SYMBOL_NODES
from texlens.latex.parse.text_mode import text_argument


def _tag(parser: Parser, text: str) -> None:
    """Kept until the line ends: a number is at its end, wherever the source has it."""
    starred = parser.texts[parser.i] == "*"
    parser.i += starred
    parts = text_argument(parser, text)
    words = Text("\\text", parts if starred else ("(", *parts, ")"), "rm")
    parser.numbers.append(Macro("\\tag", (words,), Row((Space("\\qquad", 2.0), words))))


def _equation_number(parser: Parser, text: str) -> Node:
    r"""Plain TeX's `\eqno`: all that follows on the line is the number, in math."""
    number = Row(tuple(parser.items(parser.stops)))
    words = Text("\\text", (number,) if number.items else (), "rm")
    return Macro("\\tag", (words,), Row((Space("\\qquad", 2.0), words)))


def _end_of_proof(parser: Parser, text: str) -> Node:
    return Macro(text, (), Row((Space("\\qquad", 2.0), SYMBOL_NODES["\\square"])))


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


HANDLERS: dict[str, Handler] = dict.fromkeys(("\\eqno", "\\leqno"), _equation_number)
HANDLERS |= dict.fromkeys(("\\qed", "\\qedhere"), _end_of_proof)
HANDLERS |= dict.fromkeys(("\\ref", "\\eqref", "\\cite"), _reference)
HANDLERS |= {"\\tag": _tag}
