"""The parser: TeX's grammar, its errors, and its bounds."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.latex.parse.nodes import symbols
from texlens.core.errors import LatexError
from texlens.latex.layout.formula import layout
from texlens.latex.parse.nodes import (
    Row,
)
from texlens.latex.parse.parser import MAX_DEPTH, parse
from texlens.latex.parse.tokens import tokenize


@pytest.mark.parametrize("formula", [r"$x$", r"$$x$$", r"\[x\]", r"\begin{equation}x\label{a}\end{equation}"])
def test_what_stands_around_a_display_is_dropped(formula):
    row = parse(formula)
    while isinstance(row.items[0], Row):
        row = row.items[0]
    assert symbols(row) == ["x"]


@pytest.mark.parametrize(
    ("formula", "position"),
    [
        (r"a \foo b", 2),
        (r"{a", 0),
        (r"a}", 1),
        (r"\left( a", 0),
        (r"a \right)", 2),
        (r"\frac{a}", 8),
        (r"x^", 2),
        (r"\begin{matrix} a", 0),
        (r"\begin{matrix} a \end{array}", 17),
        (r"\begin{nothing} a \end{nothing}", 0),
        (r"\sqrt[3 x", 5),
        (r"a \over b \over c", 10),
        ("a\x00", 1),
        (r"\mbox{a", 5),
        ("x # y", 2),
    ],
)
def test_errors_name_the_place(formula, position):
    with pytest.raises(LatexError) as caught:
        parse(formula)
    assert caught.value.position == position
    assert "\n" not in str(caught.value)


HOSTILE = [
    "{" * 100_000,
    r"\frac" * 50_000,
    r"\sqrt{" * 5_000,
    r"\left(" * 5_000,
    "x^{" * 5_000,
    r"\hat" * 15_000,
    r"\begin{matrix}" * 5_000,
    r"\text{" * 10_000,
    "[" * 30_000,
    "a" * 1_000_000,
    r"\mbox{$" * 3_000,
    "\\" * 100_000,
]


@pytest.mark.parametrize("formula", HOSTILE, ids=lambda formula: formula[:8])
def test_hostile_formulas_are_refused_quickly(formula):
    started = time.process_time()
    with pytest.raises(LatexError):
        parse(formula)
    assert time.process_time() - started < 3


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        ("{", "}"),
        (r"\frac{1}{", "}"),
        (r"\sqrt{", "}"),
        ("x^{", "}"),
        (r"\left(", r"\right)"),
        (r"\hat{", "}"),
        (r"\mathbf{", "}"),
        (r"\overset{a}{", "}"),
        (r"\text{a$", "$}"),
        (r"\text{", "}"),
        (r"\begin{matrix}", r"\end{matrix}"),
    ],
)
def test_what_parses_at_full_depth_is_laid_out_without_overflow(opening, closing):
    for depth in range(MAX_DEPTH, 10, -1):
        try:
            tree = parse(opening * depth + "x" + closing * depth)
        except LatexError:
            continue
        assert layout(tree).glyphs
        break
    else:
        pytest.fail("no depth was accepted")


COMMANDS = st.sampled_from(
    tokenize(
        r"\frac \sqrt \left( \right) \over ^ _ { } & \\ ' [ ] x 1 + = \sum \int \hat \mathbf \bf \text \mbox $ \not "
        r"\big \begin{matrix} \end{matrix} \begin{array} \end{cases} \limits \prime \overbrace \stackrel \hspace \kern "
        r"2pt \rule \operatorname \pmod \tag \multicolumn \hline \genfrac \raisebox \, \substack \phantom \middle | 中"
    )
)


@settings(max_examples=400, deadline=2000)
@given(st.one_of(st.text(max_size=60), st.lists(COMMANDS, max_size=25).map(" ".join)))
def test_any_text_is_laid_out_or_refused(formula):
    try:
        tree = parse(formula)
    except LatexError:
        return
    layout(tree)
