import pytest

from texlens.core.errors import LatexError
from texlens.latex.parse.parser import parse


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("x\u200b+y", r"invisible character U+200B (zero width space); remove it, at character 1"),
        (
            r"x^{a\\b}",
            r"`\\` ends a line, which is not possible here; use \substack{…} or an environment such as array",
        ),
        (r"\begin{CD}A@>>>B\end{CD}", r"environment `CD` is a diagram, which can't be drawn"),
        (r"\ce{H2O}", r"chemical formulas in `\ce` can't be read; write them in math, such as \mathrm{H_2O}"),
        ("```x```", "a code fence (```) is no part of a formula; remove it"),
        (r"x\footnote{y}", r"a footnote has text outside of the formula; remove it"),
        (r"a\middle|b", r"`\middle` is not directly between `\left` and `\right`"),
        (r"a\right)", r"`\right` has no `\left` in this group"),
        (r"\begin{array}{cQ}a\end{array}", r"`Q` is not a column type; there are l, c, r"),
        (r"\sideset{x}{}\sum", r"`\sideset` takes scripts alone in its first two arguments"),
        (r"x\begin y", r"`\begin` lacks the name of its environment, such as \begin{matrix}, at character 1"),
        (r"\begin", r"`\begin` lacks the name of its environment, such as \begin{matrix}, at character 0"),
        (r"\frac\begin{ma trix!}", r"`\begin` lacks the name of its environment"),
        ("a}", "`}` closes nothing that is open; remove it, or add its `{`, at character 1"),
    ],
)
def test_a_refusal_names_the_place_and_the_remedy(formula, message):
    with pytest.raises(LatexError) as error:
        parse(formula)
    assert message in str(error.value)
