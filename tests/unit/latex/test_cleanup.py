"""The clean-up of a model's answer: what is removed, and what is left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from texlens.latex.cleanup import clean_prediction, is_bare


@pytest.mark.parametrize(
    ("text", "expected", "removed"),
    [
        ("```latex\nx^2\n```", "x^2", ("code fence",)),
        ("```\n\\frac{a}{b}\n```\n", "\\frac{a}{b}", ("code fence",)),
        ("```latex\nx^2", "x^2", ("code fence",)),
        ("```x^2```", "x^2", ("code fence",)),
        ("```x```", "x", ("code fence",)),
        ("```latex x^2```", "x^2", ("code fence",)),
        ("`x^2`", "x^2", ("code fence",)),
        ("$$a$$", "a", ("math delimiters",)),
        ("\\[ a + b \\]", "a + b", ("math delimiters",)),
        ("$x$", "x", ("math delimiters",)),
        ("The LaTeX is: x^2", "x^2", ("prose",)),
        ("Here is the LaTeX code:\n```latex\n$$x^2$$\n```", "x^2", ("prose", "code fence", "math delimiters")),
        ("Sure! The formula in the image is:\n\\[x\\]\nIt is a variable.", "x", ("prose", "math delimiters")),
        ("LaTeX: \\alpha", "\\alpha", ("prose",)),
    ],
)
def test_fences_and_prose_are_removed_and_named(text, expected, removed):
    assert clean_prediction(text) == (expected, removed)


@pytest.mark.parametrize(
    "text",
    [
        "x^2",
        r"\text{the formula: } x",
        r"f: A \to B",
        r"a \text{ if $b$}",
        "$5 and $6",
        r"\text{if $x$} = \text{if $y$}",
        "A cat: on a mat",
        r"\left[ x \right]",
        "",
        r" x ",
    ],
)
def test_a_bare_formula_or_caption_comes_back_as_it_is(text):
    assert clean_prediction(text) == (text, ())
    assert is_bare(text)


@given(st.text(alphabet="ab`$\\[]():\n the latex formula is", max_size=60))
def test_cleaning_never_fails_and_settles(text):
    cleaned = clean_prediction(text)
    assert len(cleaned.text) <= len(text)
