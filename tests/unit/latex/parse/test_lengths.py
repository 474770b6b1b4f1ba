import pytest

from texlens.latex.parse.lengths import DIMENSION, ROW_GAP, length_em


@pytest.mark.parametrize(
    ("text", "em"),
    [("1em", 1.0), ("10pt", 1.0), ("-1.5 em", -1.5), ("0,1cm", 0.2845), ("18mu", 1.0), ("2 true pt", 0.2), ("x", 0.0)],
)
def test_length_in_em(text, em):
    assert length_em(DIMENSION.match(text)) == pytest.approx(em)


def test_huge_length_is_bounded():
    assert length_em(DIMENSION.match("99999999999em")) == 10_000.0


@pytest.mark.parametrize(
    ("text", "length"),
    [("[2pt]", "2pt"), ("[ 1em plus 2pt ]", "1em"), ("[\\jot]", "\\jot"), ("[a]", None), ("[2pt", None)],
)
def test_option_of_a_line_end_is_a_length(text, length):
    match = ROW_GAP.match(text)
    assert (match and match["length"]) == length
