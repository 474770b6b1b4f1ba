"""Arguments, groups and scripts."""

from texlens.latex.parse.nodes import (
    Delimited,
    FontSwitch,
    Fraction,
    Row,
    Scripts,
    Symbol,
)
from texlens.latex.parse.parser import parse


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


def test_left_and_right_hold_their_tokens():
    fence = only(r"\left\langle x \right.")
    assert isinstance(fence, Delimited)
    assert (fence.left, fence.right) == ("\\langle", ".")
