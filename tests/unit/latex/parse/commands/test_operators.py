import pytest

from tests.unit.latex.parse.commands.nodes import node
from texlens.core.errors import LatexError
from texlens.latex.parse.nodes import Negated, Operator, Sideset, Stack, Stretch, StyleChoice
from texlens.latex.parse.parser import parse


def test_starred_operator_name_takes_limits():
    assert node(r"\operatorname*{arg}").limits
    assert not node(r"\operatorname{arg}").limits
    assert isinstance(node(r"\mathop{a}"), Operator)


def test_sideset_has_scripts_at_four_corners():
    sideset = node(r"\sideset{_a^b}{_c^d}\sum")
    assert isinstance(sideset, Sideset)
    corners = (sideset.left_sub, sideset.left_sup, sideset.right_sub, sideset.right_sup)
    assert [corner.source for corner in corners] == list("abcd")
    with pytest.raises(LatexError, match="needs a large operator"):
        parse(r"\sideset{_a}{}x")


def test_option_of_stackrel_is_set_below():
    stack = node(r"\stackrel[i]{n}{x}")
    assert isinstance(stack, Stack)
    assert stack.under is not None
    assert stack.over is not None


def test_options_of_brackets_are_lengths():
    assert isinstance(node(r"\overbracket[1pt][2pt]{x}"), Stretch)


def test_choice_has_four_branches():
    assert isinstance(node(r"\mathchoice{a}{b}{c}{d}"), StyleChoice)


def test_plain_relation_is_a_stack():
    assert isinstance(node(r"\buildrel a \over ="), Stack)
    with pytest.raises(LatexError, match=r"`\\buildrel` lacks its `\\over`"):
        parse(r"\buildrel a")


def test_slashed_is_negated():
    assert isinstance(node(r"\slashed{D}"), Negated)


def test_dots_before_an_operator_are_centered():
    assert parse(r"\dots+").items[0].character == "⋯"
    assert parse(r"\dots,").items[0].character == "…"
