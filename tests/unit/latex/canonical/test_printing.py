"""Tokens and text of a canonical form."""

from texlens.latex.canonical.form import canonical
from texlens.latex.parse.tokens import tokenize


def test_what_cannot_be_parsed_comes_back_as_its_tokens_with_the_place():
    result = canonical(r"a  \foo b")
    assert result.tokens == ("a", "\\foo", "b")
    assert result.problem is not None
    assert result.problem.position == 3


def test_tokens_are_those_of_the_text():
    result = canonical(r"\hspace{-3em} x \hspace{9em} y")
    assert list(result.tokens) == tokenize(result.text)
