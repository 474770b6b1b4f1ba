import pytest

from texlens.latex.layout.formula import layout
from texlens.latex.parse.nodes import Macro, Matrix
from texlens.latex.parse.parser import parse


def table(formula):
    (node,) = parse(formula).items
    assert isinstance(node, Matrix)
    return node


def shown(formula):
    return "".join(glyph.character for glyph in layout(formula, system_fonts=False).glyphs)


@pytest.mark.parametrize(
    ("formula", "gaps"),
    [
        (r"\begin{array}{c}a\\[2pt]b\end{array}", ((0, 0.2),)),
        (r"\begin{array}{c}a\\ * [2pt]b\end{array}", ((0, 0.2),)),
        (r"\begin{aligned}a\\*[1em]b\\c\\[-1em]d\end{aligned}", ((0, 1.0), (2, -1.0))),
        (r"a\\[0,1cm]b", ((0, 0.2845),)),
        (r"\begin{array}{c}a\\b\end{array}", ()),
    ],
)
def test_option_of_a_line_end_is_the_gap_below_the_row(formula, gaps):
    assert [row for row, _ in table(formula).gaps] == [row for row, _ in gaps]
    assert [em for _, em in table(formula).gaps] == pytest.approx([em for _, em in gaps])


@pytest.mark.parametrize(
    ("formula", "glyphs"),
    [
        (r"\begin{array}{c}a\\ [2pt]b\end{array}", "𝑎𝑏"),
        (r"\begin{array}{c}a\\ *b\end{array}", "𝑎𝑏"),
        (r"\begin{aligned}a\\ [2pt]b\end{aligned}", "𝑎[2𝑝𝑡]𝑏"),
        (r"\begin{aligned}a\\ *b\end{aligned}", "𝑎𝑏"),
        (r"\begin{matrix}a\\ *b\end{matrix}", "𝑎∗𝑏"),
        (r"\begin{cases}a\\ [b]\end{cases}", "⎧⎪⎨⎩𝑎[𝑏]"),
        (r"\begin{matrix}a\\*b\end{matrix}", "𝑎𝑏"),
        (r"\begin{matrix}a\cr[2pt]b\end{matrix}", "𝑎[2𝑝𝑡]𝑏"),
    ],
)
def test_spaces_after_a_line_end_count_as_in_latex_and_amsmath(formula, glyphs):
    drawn = shown(formula)
    assert [c for c in drawn if c not in "⎧⎪⎨⎩{"] == [c for c in glyphs if c not in "⎧⎪⎨⎩{"]


def test_number_is_at_the_end_of_its_line():
    rows = table(r"a\tag{1}+b\\c").rows
    assert isinstance(rows[0][0].items[-1], Macro)
    assert [item.source for item in rows[0][0].items[:-1]] == ["a", "+", "b"]
    assert len(rows[1][0].items) == 1


def test_number_of_a_formula_of_one_line_is_at_its_end():
    assert shown(r"\tag{A}x") == "𝑥(A)"


def test_number_before_an_environment_is_that_of_the_line_around_it():
    first, second = parse(r"\tag{A}\begin{gathered}x\\y\end{gathered}").items
    assert isinstance(first, Matrix)
    assert isinstance(second, Macro)
