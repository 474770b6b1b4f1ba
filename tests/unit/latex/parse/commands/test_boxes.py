import pytest

from tests.unit.latex.parse.commands.nodes import node
from texlens.core.errors import LatexError
from texlens.latex.parse.nodes import Bar, Boxed, Phantom, Raised, SizedBox, Space, Text
from texlens.latex.parse.parser import parse


def test_box_has_the_width_and_side_of_its_options():
    box = node(r"\makebox[2em][r]{a}")
    assert isinstance(box, SizedBox)
    assert (box.width_em, box.align) == (2.0, "r")
    assert isinstance(node(r"\hbox to 2em{a}"), SizedBox)
    assert isinstance(node(r"\hbox{a}"), Text)
    assert isinstance(node(r"\framebox[2em]{a}"), Boxed)


def test_width_that_is_no_length_is_refused():
    with pytest.raises(LatexError, match="give a length such as 2em"):
        parse(r"\makebox[wide]{a}")


def test_smash_keeps_the_side_that_its_option_leaves():
    assert node(r"\smash[t]{a}") == Phantom("\\smash", node(r"\smash[t]{a}").body, True, "wd", "l")
    assert node(r"\phantom{a}").visible is False


def test_raised_words_pass_over_the_size_of_the_box():
    raised = node(r"\raisebox{1em}[2pt][3pt]{a}")
    assert isinstance(raised, Raised)
    assert raised.shift_em == 1.0


def test_rule_has_its_size():
    assert node(r"\rule[1em]{2em}{3em}") == Bar("\\rule", 2.0, 3.0, 1.0)


@pytest.mark.parametrize("formula", [r"\label{a}", r"\color[rgb]{1,0,0}", r"\nonumber", r"\displaybreak[1]"])
def test_command_without_ink_leaves_nothing(formula):
    assert parse(formula).items == ()


def test_space_is_as_wide_as_its_length():
    assert node(r"\hspace*{2em}") == Space("\\hspace", 2.0)
