"""Whether a label is LaTeX that parses and renders."""

from texlens.core.errors import LatexError
from texlens.latex.layout.formula import layout
from texlens.latex.parse.parser import parse


def latex_fault(text: str, *, render: bool = False) -> str:
    """`kind: reason` of a formula that can't be parsed or, with `render`, laid out; empty for a good one."""
    kind = "latex-parse"
    try:
        parse(text)
        if render:
            kind = "latex-render"
            layout(text)
    except LatexError as error:
        return f"{kind}: {error}"
    return ""
