"""Environments, plain TeX's matrices and what is only possible in a table."""

from texlens.latex.parse import symbols as sym
from texlens.latex.parse.nodes import Intertext, Matrix, Node, Text
from texlens.latex.parse.recursive_descent import Handler, Parser
from texlens.latex.parse.tables import multicolumn, table
from texlens.latex.parse.text_mode import text_argument


def _plain_matrix(parser: Parser, text: str) -> Node:
    name, opened = sym.PLAIN_MATRICES[text], parser.i
    closing = "}" if parser.texts[parser.i] == "{" else f"\\end{text[1:]}"
    parser.i += closing == "}"
    body = parser.rows(closing)
    if parser.texts[parser.i] != closing:
        raise parser.error(f"`{text}` is never closed", opened)
    parser.i += 1
    return Matrix(
        name, body.rows, sym.ENVIRONMENTS[name][2], body.lines, partial_lines=body.partial_lines, gaps=body.gaps
    )


def _intertext(parser: Parser, text: str) -> Node:
    return Intertext(text, Text("\\text", text_argument(parser, text), "rm"))


HANDLERS: dict[str, Handler] = dict.fromkeys(sym.PLAIN_MATRICES, _plain_matrix)
HANDLERS |= dict.fromkeys(("\\intertext", "\\shortintertext"), _intertext)
HANDLERS |= {"\\multicolumn": multicolumn, "\\begin": table}
