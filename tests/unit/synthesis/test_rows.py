import io

import numpy as np
import pytest
from PIL import Image

from texlens.core.errors import DataError
from texlens.latex.parse.tokens import tokenize
from texlens.synthesis import STYLES, RowRecipe, SampleGenerator, read_labels

LIST = (r"\frac { a } { b } = c", r"\alpha + \beta ^ { 2 }", r"a _ { i } - \sqrt { b }", r"( a + b ) ^ { 2 } = c")


def picture(row) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(row.image)).convert("L"), int)


@pytest.mark.parametrize("style", STYLES)
def test_a_row_depends_on_the_seed_and_its_number_alone(style):
    first, second = SampleGenerator(RowRecipe(style, seed=3)), SampleGenerator(RowRecipe(style, seed=3))
    second.make(0)

    assert first.make(5) == second.make(5)
    assert first.make(5).image != SampleGenerator(RowRecipe(style, seed=4)).make(5).image


@pytest.mark.parametrize("style", STYLES)
def test_a_row_records_how_it_was_made_and_has_ink_off_its_edges(style):
    generator = SampleGenerator(RowRecipe(style, max_tokens=20))
    for number in range(12):
        row = generator.make(number)
        columns = row.columns
        origin = columns["style"], columns["formulas"], columns["seed"], columns["number"]
        assert origin == (style, "grammar", 0, number)
        assert columns["ink"].startswith("#")
        assert "font" in columns or "writer" in columns
        assert 3 <= len(row.label.split()) <= 20
        gray = picture(row)
        assert np.ptp(gray) > 60
        sample = row.sample()
        assert (sample.domain, sample.text, sample.image.size) == (style, row.label, gray.shape[::-1])


def test_handwriting_is_only_asked_for_what_there_are_strokes_for():
    generator = SampleGenerator(RowRecipe("handwriting"))
    assert {generator.make(number).columns["attempt"] for number in range(40)} == {0}


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
