"""The parser: TeX's grammar, its errors, and its bounds."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from texlens.core.errors import LatexError
from texlens.latex.layout.formula import layout
from texlens.latex.parse.nodes import (
    Delimited,
    FontChange,
    FontSwitch,
    Fraction,
    Matrix,
    Radical,
    Row,
    Scripts,
    Symbol,
    Text,
)
from texlens.latex.parse.parser import MAX_DEPTH, parse
from texlens.latex.parse.tokens import tokenize


def only(formula):
    (node,) = parse(formula).items
    return node


def symbols(node):
    return [item.source for item in node.items]


def test_one_and_two_are_the_arguments_of_frac12():
    fraction = only(r"\frac12")
    assert (fraction.numerator.source, fraction.denominator.source) == ("1", "2")


def test_over_divides_its_whole_group():
    row = only(r"{a + b \over c}")
    (fraction,) = row.items
    assert isinstance(fraction, Fraction)
    assert symbols(fraction.numerator) == ["a", "+", "b"]
    assert symbols(fraction.denominator) == ["c"]


def test_a_font_switch_before_over_reaches_the_denominator():
    (fraction,) = only(r"{\bf a \over b}").items
    assert isinstance(fraction.denominator.items[0], FontSwitch)


def test_a_switch_acts_within_its_group_only():
    assert only(r"{\cal L}") == Row((FontSwitch("\\cal", "cal"), Symbol("L", "L", "ord")), braced=True)


def test_primes_come_before_the_superscript():
    scripts = only("x'^2")
    assert isinstance(scripts, Scripts)
    assert symbols(scripts.sup) == ["\\prime", "2"]


def test_the_order_of_scripts_does_not_matter():
    assert parse("x_1^2") == parse("x^2_1") == parse(r"x\sb1\sp2")


def test_a_third_script_starts_a_new_base():
    first, second = parse("x^a^b").items
    assert first.base.source == "x"
    assert second.base is None


def test_degree_of_a_root():
    root = only(r"\sqrt[n+1]{x}")
    assert isinstance(root, Radical)
    assert symbols(root.degree) == ["n", "+", "1"]


def test_cells_and_lines_of_an_array():
    matrix = only(r"\begin{array}{l|r} a & b \\[2pt] \hline c & d \\ \end{array}")
    assert isinstance(matrix, Matrix)
    assert (matrix.columns, matrix.lines) == ("l|r", (1,))
    assert [[symbols(cell) for cell in row] for row in matrix.rows] == [[["a"], ["b"]], [["c"], ["d"]]]


def test_plain_tex_matrices_are_read():
    assert only(r"\pmatrix{a & b \cr c & d}").environment == "pmatrix"


def test_lines_outside_of_any_environment_are_an_implied_alignment():
    assert only(r"a &= b \\ c &= d").implied


@pytest.mark.parametrize("formula", [r"$x$", r"$$x$$", r"\[x\]", r"\begin{equation}x\label{a}\end{equation}"])
def test_what_stands_around_a_display_is_dropped(formula):
    row = parse(formula)
    while isinstance(row.items[0], Row):
        row = row.items[0]
    assert symbols(row) == ["x"]


def test_text_keeps_its_spaces_and_its_mathematics():
    text = only(r"\mbox{ for $x$ all}")
    assert isinstance(text, Text)
    assert text.parts[0] == " for "
    assert text.parts[2] == " all"
    assert symbols(text.parts[1]) == ["x"]


def test_left_and_right_hold_their_tokens():
    fence = only(r"\left\langle x \right.")
    assert isinstance(fence, Delimited)
    assert (fence.left, fence.right) == ("\\langle", ".")


def test_a_font_command_takes_one_token():
    change, following = parse(r"\mathbf xy").items
    assert isinstance(change, FontChange)
    assert following.source == "y"


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
