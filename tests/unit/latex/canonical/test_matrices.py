"""Arrays."""

from tests.unit.latex.canonical.forms import form


def test_the_half_em_around_an_array_does_not_count():
    assert form(r"\begin{array}{cc} a & b \\ c & d \end{array}") == form(r"\begin{matrix} a & b \\ c & d \end{matrix}")
