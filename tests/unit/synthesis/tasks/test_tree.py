import random

import pytest

from texlens.synthesis.tasks.tree import TREE, tree_line


@pytest.mark.parametrize(
    ("formula", "line"),
    [
        (r"x^{2}+\frac{a}{b}", r"x sup{2} + \frac above{a} below{b}"),
        (r"\sqrt[3]{y_i}", r"\sqrt inside{y sub{i}} index{3}"),
        (
            r"\left( \begin{matrix} a & b \\ c & d \end{matrix} \right]",
            "(] inside{matrix row{cell{a} cell{b}} row{cell{c} cell{d}}}",
        ),
        (r"{a b}^2 c", "base{a b} sup{2} c"),
        (r"\overset{a}{b} \hat{x}", r"\overset base{b} over{a} \hat inside{x}"),
        (r"\lim_{n} \{ x , y \}", r"\lim sub{n} \{ x , y \}"),
        (r"\text{if all} \; {}^2", r"\text inside{if all} base{} sup{2}"),
    ],
)
def test_a_formula_is_one_line(formula, line):
    assert tree_line(formula) == line


def test_what_does_not_parse_has_no_tree():
    assert tree_line(r"\frac{a") is None
    assert tree_line("") is None
    assert TREE.make(r"\frac{a", random.Random(0)) is None


def test_formulas_that_differ_in_structure_differ():
    lines = {
        tree_line(formula) for formula in ("x^{2 y}", "x^{2} y", "x_{2} y", "x 2 y", r"\sqrt{x}^2 y", r"\sqrt{x^2} y")
    }
    assert len(lines) == 6
