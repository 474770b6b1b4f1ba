import pytest

from texlens.core.errors import DataError
from texlens.latex.parse.tokens import tokenize
from texlens.synthesis import RowRecipe, SampleGenerator, read_labels

LIST = (r"\frac { a } { b } = c", r"\alpha + \beta ^ { 2 }", r"a _ { i } - \sqrt { b }", r"( a + b ) ^ { 2 } = c")


def test_a_list_gives_each_of_its_formulas_once_before_any_comes_again():
    generator = SampleGenerator(RowRecipe("printed", "list", labels=LIST))
    labels = [generator.make(number).label for number in range(8)]
    assert sorted(labels[:4]) == sorted(labels[4:]) == sorted(LIST)


def test_a_formula_of_a_list_that_can_not_be_drawn_is_refused_with_its_reason():
    row = SampleGenerator(RowRecipe("printed", "list", labels=(r"\frac { a",))).make(0)
    assert row.image is None
    assert row.rejected_row().reason.startswith(r"\frac { a: ")


def test_the_grammar_learns_from_a_list_what_to_write():
    generator = SampleGenerator(RowRecipe("printed", "grammar", labels=LIST, max_tokens=25))
    tokens = {token for number in range(60) for token in generator.make(number).label.split()}
    known = {token for formula in LIST for token in tokenize(formula)}
    assert {"a", "b", r"\frac", "="} <= tokens
    assert tokens <= known | {"}", "{", "_", "^", ")", "[", "]", r"\{", r"\}", "|"}


def test_pieces_of_a_list_make_formulas_that_are_not_in_it():
    generator = SampleGenerator(RowRecipe("printed", "pieces", labels=LIST, max_tokens=25))
    assert {generator.make(number).label for number in range(30)} - set(LIST)


def test_a_list_is_read_plain_and_without_what_does_not_parse(tmp_path):
    file = tmp_path / "list.txt"
    file.write_text("x^2+1\n\n\\frac{a\n\\alpha\n", encoding="utf-8")
    limits = {"min_tokens": 1, "max_tokens": 9, "seed": 0}

    assert "x ^ { 2 } + 1" in read_labels(file, "pieces", **limits)
    assert r"\frac{a" not in read_labels(file, "pieces", **limits)
    assert read_labels(file, "list", **limits | {"min_tokens": 5}) == ["x^2+1"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such list of formulas"), (b"\xff\xfe\x00", "can't be read as UTF-8"), (b"\n\n", "no formula of")],
)
def test_a_list_that_can_not_be_used_is_named(tmp_path, content, message):
    file = tmp_path / "list.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_labels(file, "pieces", min_tokens=1, max_tokens=9, seed=0)
