"""Space between atoms."""

import pytest

from tests.unit.latex.layout.drawing import EM, width


@pytest.mark.parametrize(
    ("formula", "space"),
    [("a+b", 8 / 18), ("a=b", 10 / 18), ("a,b", 3 / 18), ("(+b", 0.0), ("a(b", 0.0), (r"a\sin b", 6 / 18)],
)
def test_space_between_atoms_is_texs(formula, space):
    pieces = formula.replace(r"\sin", "S").replace(" ", "")
    separate_width = sum(width(piece if piece != "S" else r"\sin") for piece in pieces)
    assert width(formula) - separate_width == EM(space)


def test_no_space_around_relations_in_scripts():
    assert width("x^{a=b}") == EM(width("x") + sum(width("{}^" + c) - 0.05 for c in "a=b") + 0.05)


def test_a_sign_is_no_binary_operator():
    assert width("-a") == EM(width("-") + width("a"))
    assert width("a=-b") == EM(width("a") + width("=") + width("-") + width("b") + 10 / 18)
