"""Text inside of formulas."""

from tests.unit.latex.parse.nodes import only, symbols
from texlens.latex.parse.nodes import (
    Text,
)


def test_text_keeps_its_spaces_and_its_mathematics():
    text = only(r"\mbox{ for $x$ all}")
    assert isinstance(text, Text)
    assert text.parts[0] == " for "
    assert text.parts[2] == " all"
    assert symbols(text.parts[1]) == ["x"]
