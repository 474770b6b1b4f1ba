"""LaTeX math to a tree of nodes, as TeX reads it; no macro is ever expanded.

A hostile formula is refused quickly: the number of tokens and the depth of nesting are bounded, and the work is linear.
"""

from texlens.core.errors import LatexError
from texlens.latex.parse.commands import COMMANDS
from texlens.latex.parse.list_parser import MAX_DEPTH
from texlens.latex.parse.nodes import Row
from texlens.latex.parse.recursive_descent import Parser
from texlens.latex.parse.tokens import Token, scan

__all__ = ["MAX_CHARACTERS", "MAX_DEPTH", "MAX_TOKENS", "parse"]

MAX_TOKENS = 20_000
MAX_CHARACTERS = 400_000
_MATH_FENCES = frozenset(["$", "\\[", "\\]", "\\(", "\\)"])


def parse(formula: str) -> Row:
    r"""The tree of a formula in math mode, with or without `$…$`, `\[…\]` or an `equation` around it.

    Raises:
        LatexError: a code fence, unbalanced braces, an unknown command or environment, more than `MAX_TOKENS` tokens
            or `MAX_DEPTH` levels; with the character where it went wrong.
    """
    if len(formula) > MAX_CHARACTERS:
        raise LatexError(
            f"the formula has {len(formula)} characters; at most {MAX_CHARACTERS} are read", MAX_CHARACTERS
        )
    if "```" in formula:
        raise LatexError("a code fence (```) is no part of a formula; remove it", formula.index("```"))
    tokens = scan(formula)
    if len(tokens) > MAX_TOKENS:
        raise LatexError(
            f"the formula has {len(tokens)} tokens; at most {MAX_TOKENS} are read", tokens[MAX_TOKENS].start
        )
    return Parser(formula, _strip_fences(tokens), COMMANDS).formula_row()


def _strip_fences(tokens: list[Token]) -> list[Token]:
    start, end = 0, len(tokens)
    while start < end and tokens[start].text in _MATH_FENCES:
        start += 1
    while end > start and tokens[end - 1].text in _MATH_FENCES:
        end -= 1
    return tokens[start:end]
