"""Tokens and canonical spacing."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from texlens.latex.parse.tokens import canonical_spacing, scan, tokenize


@pytest.mark.parametrize(
    ("formula", "tokens"),
    [
        (r"\frac12", ["\\frac", "1", "2"]),
        (r"x^{10}_i", ["x", "^", "{", "1", "0", "}", "_", "i"]),
        (r"\alpha\, \{ \}", ["\\alpha", "\\,", "\\{", "\\}"]),
        (r"\begin { matrix } a & b \\ \end{matrix}", ["\\begin{matrix}", "a", "&", "b", "\\\\", "\\end{matrix}"]),
        (r"\begin{align*}", ["\\begin{align*}"]),
        ("a % a note\nb", ["a", "b"]),
        (r"50\% x", ["5", "0", "\\%", "x"]),
        ("a\\ b", ["a", "\\ ", "b"]),
        ("a\\", ["a", "\\ "]),
        ("\\begin {", ["\\begin", "{"]),
        ("", []),
    ],
)
def test_tokens(formula, tokens):
    assert tokenize(formula) == tokens


def test_formulas_that_differ_in_spacing_only_become_equal():
    assert canonical_spacing(r"\frac{a}{b}  x^2") == canonical_spacing(r"\frac { a } { b } x ^ 2")
    assert canonical_spacing(r"\alpha x") != canonical_spacing(r"\alphax")


LATEX = st.text(alphabet="\\{}^_&% \nabegindrtx*1\x00", max_size=60)


@given(st.one_of(st.text(max_size=80), LATEX))
@example("\\begin{" + " " * 70 + "matrix}")
@example("\\begin%\n{matrix}")
def test_canonical_spacing_is_idempotent(formula):
    once = canonical_spacing(formula)
    assert canonical_spacing(once) == once
    assert tokenize(once) == tokenize(formula)


@pytest.mark.parametrize("piece", ["\\begin{", "\\begin { a", "\\", "%", "{", "\x00", "x", " "])
def test_a_long_text_takes_linear_time(piece):
    started = time.process_time()
    tokenize(piece * (300_000 // len(piece)))
    assert time.process_time() - started < 10


@given(st.text(alphabet="\\ab{}%^ \n1egindx", max_size=40))
def test_the_fast_way_finds_what_the_scan_finds(formula):
    assert tokenize(formula) == [token.text for token in scan(formula)]
