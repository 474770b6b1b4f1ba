r"""How often each symbol and command occurs, in the order in which they occur first.

    x^{2}+\frac{x}{2}      x:2 2:2 +:1 \frac:1

Counting as a task next to reading: CAN (arXiv:2207.11463), Uni-MuMER (arXiv:2505.23566).
"""

import random
from collections import Counter
from collections.abc import Iterator

from texlens.core.errors import LatexError
from texlens.latex.parse.nodes import Node, Text
from texlens.latex.parse.parser import parse
from texlens.synthesis.tasks.protocol import FormulaTask, TaskPair
from texlens.synthesis.tasks.tree import INVISIBLE, children_of, label_of


def symbol_counts(formula: str) -> Counter[str] | None:
    """By symbol or command, in the order of their first occurrence; None where the formula can't be parsed."""
    try:
        return Counter(_labels(parse(formula)))
    except LatexError:
        return None


def _labels(node: Node) -> Iterator[str]:
    if isinstance(node, INVISIBLE):
        return
    if isinstance(node, Text):
        yield "\\text"
        return
    label = label_of(node)
    if label is not None:
        yield label
    for _, child in children_of(node):
        yield from _labels(child)


def _make(formula: str, rng: random.Random) -> TaskPair | None:
    counts = symbol_counts(formula)
    if not counts:
        return None
    return TaskPair("Count the symbols of the formula.", " ".join(f"{name}:{count}" for name, count in counts.items()))


COUNTING = FormulaTask("counting", _make, "each symbol with how often it occurs")
