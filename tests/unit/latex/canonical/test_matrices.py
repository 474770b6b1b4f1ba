"""Arrays."""

from texlens.latex.canonical.form import canonical


def form(formula):
    result = canonical(formula)
    assert result.problem is None
    return result.text


def test_the_half_em_around_an_array_does_not_count():
    assert form(r"\begin{array}{cc} a & b \\ c & d \end{array}") == form(r"\begin{matrix} a & b \\ c & d \end{matrix}")
