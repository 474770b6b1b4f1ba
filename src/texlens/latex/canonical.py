r"""Canonical form: one spelling for all sources that are drawn alike.

`parse` gives the tree, `normal` turns it into units, `pieces` chooses between spellings and prints them. What is drawn
stays what it is: docs/metrics/canonical.md tells the tolerance and what is unified.
"""

from functools import lru_cache
from typing import NamedTuple

from texlens.core.errors import LatexError
from texlens.latex.normal import Normal
from texlens.latex.parse import parse
from texlens.latex.pieces import spell
from texlens.latex.tokens import tokenize

__all__ = ["Canonical", "canonical"]

_PLAIN = ("", False)


class Canonical(NamedTuple):
    """The canonical form as text and as tokens; where the formula can't be parsed, its own tokens and the reason."""

    text: str
    tokens: tuple[str, ...]
    problem: LatexError | None = None


@lru_cache(maxsize=32_768)
def canonical(formula: str) -> Canonical:
    r"""The one spelling of what a formula draws in display style; idempotent, never raises.

    Example:
        canonical(r"\frac12 x^{2}_i").text == r"\frac { 1 } { 2 } x _ { i } ^ { 2 }"

    Tokens are separated by spaces, but for lengths (`{1.5em}`) and words in `\text {…}` that can't be set as math.
    """
    try:
        tree = parse(formula)
    except LatexError as problem:
        tokens = tuple(tokenize(formula))
        return Canonical(" ".join(tokens), tokens, problem)
    normal = Normal(tree)
    text = " ".join(spell(normal.body(tree, 0, _PLAIN, True), 0, is_outermost=True))
    return Canonical(text, tuple(tokenize(text)))
