"""Colors stand on the glyphs without a match, and on no others."""

import re

import pytest

from texlens.core.errors import LatexError
from texlens.metrics.cdm.difference_svg import MISSED, WRONG, differences_svg


def colored(svg, color):
    return len(re.findall(rf'<(?:use|rect) fill="{color}"', svg))


@pytest.mark.parametrize(
    ("reference", "text", "missed", "wrong"),
    [
        ("x+y", "x+y", 0, 0),
        ("x+y", "x-y", 1, 1),
        (r"\frac{a}{b}+c", "a+c", 2, 0),
        (r"\sqrt{n}y", r"\sqrt{ny}", 1, 1),
        ("x", "y", 1, 1),
    ],
)
def test_marks_without_a_match_are_colored(reference, text, missed, wrong):
    of_reference, of_text = differences_svg(reference, text)
    assert (colored(of_reference, MISSED), colored(of_text, WRONG)) == (missed, wrong)


def test_a_radical_is_colored_with_its_rule():
    of_reference, _ = differences_svg(r"\sqrt{x}+y", "x+y")
    assert colored(of_reference, MISSED) == 2


def test_what_cannot_be_drawn_is_an_error():
    with pytest.raises(LatexError, match="unknown command"):
        differences_svg("x", r"\nonsense")
