r"""The tokens of the authors' program, with its faults; for comparison with published numbers only.

Which commands it splits, which it takes for near-synonyms and what it loses follow the program's first public release,
which scored most of what is published. Its faults, which `visible_tokens` does not have:

- only the last line of a source is read, and nothing after a `%`, even an escaped one;
- commands that plain LaTeX lacks (`\lt`, `\gt`) leave a gap without a message;
- a `]` among the first three tokens is lost;
- `\limits` is ignored, and `\lim` and similar names have their scripts at the right;
- the parentheses of `\binom` are one token, those of a matrix in parentheses two;
- `\leftarrow` and `\rightarrow` are near-synonyms, `\rightarrow` and `\longrightarrow` are not.
"""

import re
from collections.abc import Sequence

from texlens.core.errors import LatexError
from texlens.latex.parse.nodes import Bar, Fraction, Macro, Matrix, Negated, Operator, Symbol, Text
from texlens.latex.parse.tokens import tokenize
from texlens.metrics.cdm.ink_groups import Fence, Group, ink_groups
from texlens.metrics.cdm.visible_tokens import DOTS, Picture, by_character, by_source, pictured, tokens_of

_WHOLE_NAMES = frozenset(
    re.findall(r"\S+", r"\arcsin \arctan \arg \cot \coth \csc \deg \dim \hom \ker \lg \ln \sec \mod \bmod")
)
"""Function names that are one token there; all others are letters."""

_SPLIT_DOTS = frozenset(["\\ldots", "\\cdots", "\\dots", "\\dotsb"])
_UNKNOWN_TO_LATEX = frozenset(
    re.findall(
        r"\S+",
        r"""\lt \gt \R \N \Z \Q \C \Reals \reals \natnums \cnums \Complex \infin \empty \exist \isin \real \image \sub
        \sube \supe \rarr \larr \harr \rArr \lArr \hArr \Rarr \Larr \Harr \lang \rang \minuso \plusmn \alef \bull""",
    )
)
_ANGLES = {"<": "\\langle", ">": "\\rangle"}
_SYNONYMS = {
    "\\cdot": ".",
    "\\mid": "|",
    "\\to": "\\rightarrow",
    "\\top": "T",
    "\\Tilde": "\\tilde",
    "\\cdots": "\\dots",
    "\\prime": "'",
    "\\ast": "*",
}
_BARS = {
    name: bar
    for bar, names in (("\\|", "lVert rVert Vert"), ("|", "lvert rvert vert"))
    for name in ("\\" + part for part in names.split())
}
_LIMITS = re.compile(r"\\(no)?limits(?![A-Za-z])")
_MAX_UNKNOWN = 50


def published_picture(formula: str) -> Picture:
    """The tokens that the authors' program sees in a formula.

    Raises:
        LatexError: it can't be drawn.
    """
    source = formula.rstrip().rsplit("\n", 1)[-1].split("%", 1)[0].removesuffix("\\")
    source = _LIMITS.sub(" ", source)
    read = tokenize(source)
    if read.count("\\left") != read.count("\\right"):
        raise LatexError("`\\left` and `\\right` do not pair up in the last line; the authors' program draws nothing")
    tokens = tokens_of(_merged(_drawn(source)), names, look)
    if _has_unseen_bracket(read):
        at = next((index for index, token in enumerate(tokens) if token.name == "]"), None)
        tokens = [token for index, token in enumerate(tokens) if index != at]
    return pictured(tokens)


def names(group: Group) -> list[tuple[str, Sequence[int]]]:
    """VisibleToken names by the source's commands; none for what has no color there."""
    node, inks = group.node, group.inks
    whole = range(len(inks))
    if isinstance(node, Matrix | Bar):
        return []
    if isinstance(node, Text):
        around = group.parent.node if group.parent else None
        return [(around.source, whole)] if isinstance(around, Macro) else by_source(group)
    if isinstance(node, Operator):
        return [(node.source, whole)] if node.source in _WHOLE_NAMES else by_character(group)
    if isinstance(node, Symbol):
        if node.source in _UNKNOWN_TO_LATEX:
            return []
        if node.character in DOTS and node.source in _SPLIT_DOTS:
            return [(".", (part,)) for part in whole]
        name = node.source
    elif isinstance(node, Fence):
        name = _ANGLES.get(node.token, node.token)
    elif isinstance(node, Negated):
        name = node.source + "".join(character for character, _ in inks)
    elif isinstance(node, Fraction):
        name = "\\frac" if node.has_rule else "\\binom"
    else:
        name = getattr(node, "source", "") or inks[0][1]
    return [(name, whole)]


def look(name: str) -> str:
    """The name that near-synonyms share."""
    name = _SYNONYMS.get(name, name)
    if name.startswith(("\\left", "\\right")):
        name = name.replace("\\left", "").replace("\\right", "")
    if name in ("\\leq", "\\geq"):
        return name[:-1]
    name = _BARS.get(name, name)
    for ending in ("rightarrow", "leftarrow"):
        if name.endswith(ending):
            return "\\" + ending
    return name.replace("\\wide", "\\").replace("\\var", "")


def _drawn(source: str) -> list[Group]:
    """TeX in nonstop mode skips an unknown command."""
    for _ in range(_MAX_UNKNOWN):
        try:
            return ink_groups(source, names_take_limits=False)
        except LatexError as error:
            if "unknown command" not in str(error):
                raise
            end = error.position + 1
            while end < len(source) and source[end].isalpha() and end > error.position:
                end += 1
            source = source[: error.position] + " " + source[max(end, error.position + 2) :]
    return ink_groups(source, names_take_limits=False)


def _merged(groups: list[Group]) -> list[Group]:
    r"""The parentheses of a `\binom` belong to it."""
    for group in groups:
        owner = group.parent
        if isinstance(group.node, Fence) and owner and isinstance(owner.node, Fraction) and not owner.node.has_rule:
            owner.extents += group.extents
            owner.inks += group.inks
            owner.numbers += group.numbers
            group.extents = []
    return groups


def _has_unseen_bracket(read: list[str]) -> bool:
    return any(token == "]" and (index == 0 or read[index - 1] != "\\right") for index, token in enumerate(read[:3]))
