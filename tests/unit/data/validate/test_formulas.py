from texlens.data.validate.formulas import latex_fault
from texlens.data.validate.texts import is_latex


def test_formulas_and_captions_are_distinguished():
    assert is_latex(["x ^ 2", "a", r"\alpha"])
    assert not is_latex(["A cat on a mat.", "Two dogs_", "A red bus", "A man"])
    assert not is_latex([])


def test_latex_that_does_not_parse_or_render_says_where():
    assert latex_fault(r"\frac { a } { b }", render=True) == ""
    assert latex_fault(r"x + \nosuchthing") == r"latex-parse: unknown command `\nosuchthing`, at character 4"
    assert latex_fault("{ x").startswith("latex-parse: ")
