import pytest

from tests.unit.latex.parse.commands.nodes import node
from texlens.core.errors import LatexError
from texlens.latex.parse.nodes import Delimited, Fraction, Macro, Middle, Radical
from texlens.latex.parse.parser import parse


def test_general_fraction_has_its_delimiters_thickness_and_style():
    fraction = node(r"\genfrac{[}{]}{2pt}{1}{a}{b}")
    assert isinstance(fraction, Fraction)
    assert (fraction.left, fraction.right, fraction.style) == ("[", "]", 2)
    assert fraction.thickness_em == pytest.approx(0.2)
    assert not node(r"\genfrac{}{}{0pt}{}{a}{b}").has_rule


def test_plain_root_has_its_degree():
    root = node(r"\root n \of x")
    assert isinstance(root, Radical)
    assert root.degree is not None
    with pytest.raises(LatexError, match=r"`\\root` lacks its `\\of`"):
        parse(r"\root n x")


def test_middle_is_between_left_and_right():
    delimited = node(r"\left( a \middle| b \right]")
    assert isinstance(delimited, Delimited)
    assert (delimited.left, delimited.right) == ("(", "]")
    assert Middle("|") in delimited.body.items


def test_set_grows_with_its_first_bar():
    macro = node(r"\Set{x|y|z}")
    assert isinstance(macro, Macro)
    (delimited,) = macro.expansion.items
    assert sum(isinstance(item, Middle) for item in delimited.body.items) == 1
