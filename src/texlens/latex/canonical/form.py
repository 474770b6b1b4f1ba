r"""Canonical form: one spelling for all sources that are drawn alike.

`parse` gives the tree, `canonicalizer` turns it into units, `items` chooses between spellings, `printing` prints them.
The picture stays the same: docs/reference/metrics/canonical.md lists the tolerances and what is unified.
"""

from functools import lru_cache
from typing import NamedTuple

from texlens.core.errors import LatexError
from texlens.latex.canonical import constructs as forms
from texlens.latex.canonical import operators
from texlens.latex.canonical import text as phrases
from texlens.latex.canonical.canonicalizer import PLAIN, Canonicalizer, Method
from texlens.latex.canonical.matrices import canonical_multicolumn, canonical_table, is_intertext, name_of
from texlens.latex.canonical.printing import spell
from texlens.latex.canonical.scripts import canonical_scripts
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
    Sideset,
    SizedBox,
    Space,
    Stack,
    Stretch,
    StyleChange,
    StyleChoice,
    Text,
)
from texlens.latex.parse.parser import parse
from texlens.latex.parse.tokens import tokenize

__all__ = ["LONGEST_KEPT", "Canonical", "canonical", "canonical_form"]

LONGEST_KEPT = 4096
_TEXT_STYLE = StyleChange("\\textstyle", 2)
_MOST_ROUNDS = 4
_SIGNS_OF_MORE = (
    "{ }",
    "$",
    "\\text",
    "\\mbox",
    "limits",
    "\\not",
    "\\left ",
    "\\mathop",
    "\\stackrel",
    "style",
    "\\\\ \\end",
)


class Canonical(NamedTuple):
    """The canonical form as text and as tokens; where the formula can't be parsed, its own tokens and the reason."""

    text: str
    tokens: tuple[str, ...]
    problem: LatexError | None = None


def canonical(formula: str) -> Canonical:
    r"""The one spelling of what a formula draws in display style; idempotent, never raises.

    Example:
        canonical(r"\frac12 x^{2}_i").text == r"\frac { 1 } { 2 } x _ { i } ^ { 2 }"

    Tokens are separated by spaces, but for lengths (`{1.5em}`) and words in `\text {…}` that can't be set as math.
    Forms of formulas up to `LONGEST_KEPT` characters are kept.
    """
    return _cached_form(formula) if len(formula) <= LONGEST_KEPT else canonical_form(formula)


def canonical_form(formula: str) -> Canonical:
    """`canonical` without its cache."""
    try:
        text = _settled(formula)
    except LatexError as problem:
        return _as_it_is(formula, problem)
    except RecursionError:
        return _as_it_is(formula, LatexError("the formula is nested too deeply for this thread's stack"))
    return Canonical(text, tuple(tokenize(text)))


_cached_form = lru_cache(maxsize=32_768)(canonical_form)


def _as_it_is(formula: str, problem: LatexError) -> Canonical:
    tokens = tuple(tokenize(formula))
    return Canonical(" ".join(tokens), tokens, problem)


def _settled(text: str) -> str:
    """Printed again until nothing changes, where one thing that went may let another go."""
    for _ in range(_MOST_ROUNDS):
        before = text
        text, is_sure = _printed(before)
        if is_sure or text == before:
            break
    return text


def _printed(formula: str) -> tuple[str, bool]:
    """The form of a formula, and whether it is surely its own form."""
    tree = parse(formula)
    canonicalizer = Canonicalizer(tree, _METHODS)
    text = " ".join(spell(canonicalizer.body(_one_line(tree), 0, PLAIN, True), 0, is_outermost=True))
    is_line = text.startswith("\\begin{") and "\\\\" not in text
    return text, not (canonicalizer.kept or is_line or any(sign in text for sign in _SIGNS_OF_MORE))


def _one_line(tree: Row) -> Row:
    """A formula without braces around all of it, nor `aligned` or `gathered` around one line."""
    while True:
        ink = [item for item in tree.items if not isinstance(item, FontSwitch) and not _leaves_nothing(item)]
        only = ink[0] if len(ink) == 1 else None
        inner = only if isinstance(only, Row) else _line_of(only) if isinstance(only, Matrix) else None
        if inner is None:
            return tree
        fonts = tuple(item for item in tree.items if isinstance(item, FontSwitch) and _reaches(item, only))
        tree = Row((*fonts, *inner.items))


def _reaches(switch: FontSwitch, node: Node | None) -> bool:
    """Whether a font before a node is in force within it: within a table, bold alone is."""
    return not isinstance(node, Matrix) or switch.alphabet in ("bold", "unbold")


def _leaves_nothing(item: Node) -> bool:
    """Whether an item has no effect next to the only one with ink."""
    if isinstance(item, Row):
        return all(_leaves_nothing(part) for part in item.items)
    return isinstance(item, Space) or (isinstance(item, StyleChange) and item.style == 0)


def _line_of(node: Matrix) -> Row | None:
    """The cells of a single line side by side; `&` is an empty atom, as amsmath has it."""
    name = name_of(node)
    if (
        node.lines
        or node.partial_lines
        or node.inserts
        or len(node.rows) != 1
        or name not in ("aligned", "gathered", "matrix", "array")
        or "|" in node.columns
        or ":" in node.columns
        or any(is_intertext(cell) for row in node.rows for cell in row)
    ):
        return None
    cells = [cell.items if isinstance(cell, Row) else (cell,) for cell in node.rows[0]]
    while cells and all(isinstance(item, FontSwitch) or _leaves_nothing(item) for item in cells[-1]):
        cells.pop()
    if name in ("matrix", "array"):
        return Row((_TEXT_STYLE, *(item for cell in cells for item in cell))) if len(cells) < 2 else None
    if len(cells) > 2 or (len(cells) == 2 and any(isinstance(item, FontSwitch | StyleChange) for item in cells[0])):
        return None
    first, second = (*cells, (), ())[:2]
    return Row((*first, Row((), braced=True), *second)) if second else Row(first)


_METHODS: dict[type, Method] = {
    Row: operators.canonical_row,
    Scripts: canonical_scripts,
    Fraction: forms.canonical_fraction,
    Radical: forms.canonical_radical,
    Delimited: forms.canonical_delimited,
    Middle: forms.canonical_middle,
    Big: forms.canonical_big,
    Accent: forms.canonical_accent,
    Stretch: forms.canonical_stretch,
    Stack: forms.canonical_stack,
    Arrow: forms.canonical_arrow,
    Negated: forms.canonical_negated,
    Phantom: forms.canonical_phantom,
    FontChange: operators.canonical_font_change,
    Operator: operators.canonical_operator,
    Classed: operators.canonical_classed,
    Macro: operators.canonical_macro,
    Text: phrases.canonical_text,
    Boxed: phrases.canonical_boxed,
    Raised: phrases.canonical_raised,
    Bar: phrases.canonical_bar,
    Matrix: canonical_table,
    Multicolumn: canonical_multicolumn,
    Sideset: forms.canonical_sideset,
    StyleChoice: forms.canonical_style_choice,
    Cancel: forms.canonical_cancel,
    SizedBox: phrases.canonical_sized_box,
}
