import pytest

from texlens.core.errors import LatexError
from texlens.latex.parse.token_reader import TokenReader
from texlens.latex.parse.tokens import scan


def reader(formula):
    return TokenReader(formula, scan(formula))


def test_raw_group_is_the_source_between_its_braces():
    source = reader("{a {b} c}d")
    assert source.raw("x") == "a {b} c"
    assert source.texts[source.i] == "d"


def test_raw_option_is_none_where_no_bracket_is():
    assert reader("a").raw_optional() is None
    assert reader("[a{]}b]").raw_optional() == "a{]}b"


def test_letter_option_is_one_of_the_letters_alone():
    assert reader("[t]a").letter_option("tb") == "t"
    assert reader("[x]a").letter_option("tb") == ""
    assert reader("[tb]").letter_option("tb") == ""


def test_dimension_stops_after_its_glue():
    source = reader("2pt plus 1fil x")
    assert source.dimension() == pytest.approx(0.2)
    assert source.texts[source.i] == "x"


@pytest.mark.parametrize(
    ("read", "formula", "message"),
    [
        (lambda source: source.raw("\\x"), "", r"`\x` lacks its argument, at character 0"),
        (lambda source: source.raw("\\x"), "{a", r"the argument of `\x` is never closed, at character 0"),
        (lambda source: source.raw_optional(), "[a", "`[` is never closed, at character 0"),
        (lambda source: source.delimiter("\\left"), "a", r"`\left` needs a delimiter, not `a`, at character 0"),
    ],
)
def test_fault_is_named_with_its_place(read, formula, message):
    with pytest.raises(LatexError) as error:
        read(reader(formula))
    assert str(error.value) == message
