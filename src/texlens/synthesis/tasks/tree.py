r"""The structure of a formula as one line: what is beside, above, below, in which symbol.

Symbols and commands are separated by spaces; what belongs to one follows it as `relation{…}`. A brace is never a symbol
(the symbol is `\{`), so the line has one reading.

    x^{2}+\frac{a}{b}      x sup{2} + \frac above{a} below{b}
    \sqrt[3]{y_i}          \sqrt inside{y sub{i}} index{3}

Tasks of structure next to reading: Uni-MuMER (arXiv:2505.23566), whose tree task this follows in purpose, not in form.
"""

import dataclasses
import random
from collections.abc import Iterator

from texlens.core.errors import LatexError
from texlens.latex.parse.nodes import (
    Big,
    Delimited,
    Matrix,
    Middle,
    Node,
    Operator,
    Row,
    Scripts,
    Space,
    StyleChange,
    Text,
)
from texlens.latex.parse.parser import parse
from texlens.synthesis.tasks.protocol import FormulaTask, TaskPair

RELATIONS = {
    "body": "inside",
    "numerator": "above",
    "denominator": "below",
    "degree": "index",
    "base": "base",
    "sub": "sub",
    "sup": "sup",
    "over": "over",
    "under": "under",
}
"""Of the fields of nodes that hold other nodes."""
INVISIBLE = Space | StyleChange


def tree_line(formula: str) -> str | None:
    """The line of a formula; None where it can't be parsed or holds nothing."""
    try:
        return " ".join(_parts(parse(formula))) or None
    except LatexError:
        return None


def label_of(node: Node) -> str | None:
    """What a node is called: its command, its environment, or its character; None for a node that only groups."""
    if isinstance(node, Row | Scripts):
        return None
    if isinstance(node, Matrix):
        return node.environment or "lines"
    if isinstance(node, Delimited):
        return f"{node.left}{node.right}"
    if isinstance(node, Middle | Big):
        return node.delimiter
    if isinstance(node, Operator) and node.name:
        return f"\\{node.name}"
    return str(getattr(node, "source", type(node).__name__))


def children_of(node: Node) -> Iterator[tuple[str, Node]]:
    """(relation, child) in the order in which they are written."""
    if isinstance(node, Row):
        yield from (("item", item) for item in node.items)
        return
    if isinstance(node, Matrix):
        yield from (("cell", cell) for row in node.rows for cell in row)
        return
    for each in dataclasses.fields(node):  # type: ignore[arg-type]
        child = getattr(node, each.name)
        if isinstance(child, Node):
            yield RELATIONS.get(each.name, each.name), child


def _parts(node: Node) -> Iterator[str]:
    if isinstance(node, INVISIBLE):
        return
    if isinstance(node, Row):
        for item in node.items:
            yield from _parts(item)
        return
    if isinstance(node, Text):
        yield f"\\text inside{{{' '.join(' '.join(_words(node)).split())}}}"
        return
    if isinstance(node, Scripts):
        yield from _base_parts(node.base)
    else:
        yield str(label_of(node))
    if isinstance(node, Matrix):
        for row in node.rows:
            yield f"row{{{' '.join(f'cell{{{_line(cell)}}}' for cell in row)}}}"
        return
    for relation, child in children_of(node):
        if relation != "base" or not isinstance(node, Scripts):
            yield f"{relation}{{{_line(child)}}}"


def _base_parts(base: Node | None) -> Iterator[str]:
    """A base of several symbols, or of none, is a group: `{a b}^2` is not `a b^2`."""
    visible = [item for item in base.items if not isinstance(item, INVISIBLE)] if isinstance(base, Row) else [base]
    if base is None or len(visible) != 1:
        yield f"base{{{_line(base) if base is not None else ''}}}"
    else:
        yield from _parts(base)


def _words(node: Text) -> Iterator[str]:
    for part in node.parts:
        if isinstance(part, str):
            yield part
        else:
            yield from _parts(part)


def _line(node: Node) -> str:
    return " ".join(_parts(node))


def _make(formula: str, rng: random.Random) -> TaskPair | None:
    line = tree_line(formula)
    return TaskPair("Write the formula as a tree.", line) if line else None


TREE = FormulaTask("tree", _make, "the structure as one line")
