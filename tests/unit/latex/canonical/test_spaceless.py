"""Canonical form without spacing and fence sizes."""

import pytest

from texlens.latex.canonical.spaceless import spaceless


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (r"\left( x \, \right)^2", "(x)^{2}"),
        (r"\big( \frac{a}{b} \big)", r"\left(\frac{a}{b}\right)"),
        (r"\left.\frac{a}{b}\right|_{x=0}", r"\frac{a}{b}\big|_{x=0}"),
        (r"x\hspace{2em}\quad y", "xy"),
        (r"\text{a b}", r"\text{ab}"),
    ],
)
def test_spacing_and_fence_sizes_make_no_difference(first, second):
    assert spaceless(first) == spaceless(second)


@pytest.mark.parametrize(("first", "second"), [("x^2", "x_2"), ("(x)", "[x]"), (r"\frac{a}{b}", r"\frac{ab}{}")])
def test_everything_else_does(first, second):
    assert spaceless(first) != spaceless(second)


def test_what_does_not_parse_keeps_its_tokens():
    assert spaceless(r"\foo x") == (r"\foo", "x")
