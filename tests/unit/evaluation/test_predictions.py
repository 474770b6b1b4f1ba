"""Predictions survive the trip to disk, and a bad line is named."""

import pytest

from texlens.core.errors import DataError
from texlens.evaluation.predictions import prediction_row, read_predictions, write_predictions
from texlens.metrics.prediction import Prediction

ROWS = [
    Prediction(id="a", reference="x^2", text="x^2", tokens=4, log_probability=-0.5, domain="print"),
    Prediction(id="b", reference="\\frac12", text="汉字\u2028\f", stop="length"),
    Prediction(id="c", reference="y", text="", stop="failed", error="c.png: damaged"),
]


def test_a_writer_that_dies_leaves_the_file_as_it_was_and_nothing_beside_it(tmp_path):
    def dying():
        yield ROWS[1]
        raise KeyboardInterrupt

    path = tmp_path / "p.jsonl"
    write_predictions(path, ROWS[:1])
    with pytest.raises(KeyboardInterrupt):
        write_predictions(path, dying())
    assert read_predictions(path) == ROWS[:1]
    assert [file.name for file in tmp_path.iterdir()] == ["p.jsonl"]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"id": "a", "reference"', "line 2: not JSON"),
        ("[1, 2]", "line 2: a list, not an object"),
        ('{"id": "a", "reference": "x"}', "line 2: 'text' is missing"),
        ('{"id": 3, "reference": "x", "text": "x"}', "line 2: 'id' is missing or not a string"),
        ('{"id": "a", "reference": "x", "text": "x", "stop": "maybe"}', "line 2: 'stop' is 'maybe'"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, complaint):
    path = tmp_path / "p.jsonl"
    path.write_text('{"id": "ok", "reference": "x", "text": "x"}\n' + line + "\n")
    with pytest.raises(DataError, match=complaint):
        read_predictions(path)


def test_a_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match="texlens evaluate"):
        read_predictions(tmp_path / "none.jsonl")


def test_a_file_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / "p.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"p\.jsonl: not UTF-8"):
        read_predictions(tmp_path / "p.jsonl")


@pytest.mark.parametrize(
    ("text", "clean", "expected"),
    [
        ("x^2", True, {"valid": True}),
        ("{x", True, {"valid": False, "confidence": 0.0}),
        ("The LaTeX is: $x$", True, {"valid": True, "removed": ["prose", "math delimiters"]}),
        ("The LaTeX is: $x$", False, {"valid": False, "confidence": 0.0}),
        ("a dog & a cat", None, {}),
    ],
)
def test_row_says_whether_it_is_a_formula(text, clean, expected):
    row = prediction_row(Prediction("a", "x", text), clean)
    assert {key: row[key] for key in ("valid", "confidence", "removed") if key in row} == expected


def test_failed_row_is_no_formula_at_all():
    assert "valid" not in prediction_row(ROWS[2], True)


def test_byte_order_mark_is_no_part_of_the_first_row(tmp_path):
    path = tmp_path / "p.jsonl"
    write_predictions(path, ROWS[:1])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_predictions(path) == ROWS[:1]
