import pytest

from texlens.latex.read_formula import formula_of


def test_delimiters_of_math_are_removed():
    assert formula_of("$$a$$").text == "a"


@pytest.mark.parametrize(
    ("text", "latex", "removed", "problem"),
    [
        ("The LaTeX is: x ^ 2", "x^2", ("prose",), None),
        ("```\nx\n```", "x", ("code fence",), None),
        ("x ^ 2", "x^2", (), None),
        ("", "", (), "the answer is empty"),
        ("{a", "{a", (), "`{` is never closed, at character 0"),
    ],
)
def test_answer_becomes_a_formula(text, latex, removed, problem):
    formula = formula_of(text)
    assert (formula.latex, formula.removed, formula.problem) == (latex, removed, problem)
    assert formula.valid == (problem is None)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("The LaTeX is: x", "prose around the formula; clean removes it"),
        ("```\nx\n```", "code fence around the formula; clean removes it"),
        ("$$x$$", None),
        ("x", None),
    ],
)
def test_without_clean_up_what_is_around_makes_it_invalid(text, problem):
    formula = formula_of(text, clean=False)
    assert (formula.text, formula.removed, formula.problem) == (text, (), problem)
