"""Commands and their arguments."""

from tests.unit.latex.parse.nodes import only, symbols
from texlens.latex.parse.nodes import (
    FontChange,
    Radical,
)
from texlens.latex.parse.parser import parse


def test_degree_of_a_root():
    root = only(r"\sqrt[n+1]{x}")
    assert isinstance(root, Radical)
    assert symbols(root.degree) == ["n", "+", "1"]


def test_a_font_command_takes_one_token():
    change, following = parse(r"\mathbf xy").items
    assert isinstance(change, FontChange)
    assert following.source == "y"
