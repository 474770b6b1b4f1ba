import pytest

from texlens.latex.layout.formula import layout


@pytest.mark.parametrize(
    ("formula", "glyphs"),
    [
        (r"x\tag{1}", "𝑥(1)"),
        (r"x\tag*{1}", "𝑥1"),
        (r"\tag{1}x", "𝑥(1)"),
        (r"{x\tag{1}}^y", "𝑥𝑦(1)"),
        (r"x\eqno 1", "𝑥1"),
        (r"x\leqno(1)", "𝑥(1)"),
        (r"x\qed", "𝑥□"),
        (r"\ref{a}", "??"),
        (r"\eqref{a}", "(??)"),
        (r"\cite[p]{a}", "[?,p]"),
    ],
)
def test_number_is_printed_as_latex_does(formula, glyphs):
    assert "".join(glyph.character for glyph in layout(formula, system_fonts=False).glyphs) == glyphs
