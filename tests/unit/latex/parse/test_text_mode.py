"""Text inside of formulas."""

from texlens.latex.parse.nodes import (
    Text,
)
from texlens.latex.parse.parser import parse


def only(formula):
    (node,) = parse(formula).items
    return node


def symbols(node):
    return [item.source for item in node.items]


def test_text_keeps_its_spaces_and_its_mathematics():
    text = only(r"\mbox{ for $x$ all}")
    assert isinstance(text, Text)
    assert text.parts[0] == " for "
    assert text.parts[2] == " all"
    assert symbols(text.parts[1]) == ["x"]
