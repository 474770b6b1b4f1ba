"""Endings that complete a beginning."""

import pytest

from texlens.latex.grammar import START, advance, closing, is_complete


@pytest.mark.parametrize(
    ("beginning", "end"),
    [
        (r"\frac{a", "}{}"),
        (r"\left( x", r"\right."),
        (r"\begin{matrix} a & {b", r"}\end{matrix}"),
        (r"\text{a $x", "$}"),
        (r"\sqrt[", "]{}"),
        (r"x \fra", r"c{}{}"),
        (r"\begin{array}{", r"c}\end{array}"),
        ("", "{}"),
    ],
)
def test_closing_completes_a_beginning(beginning, end):
    state = advance(START, beginning)
    assert closing(state) == end
    assert is_complete(advance(state, end))
