"""Predictions survive the trip to disk, and a bad line is named."""

import pytest

from texlens.core.errors import DataError
from texlens.evaluation.predictions import read_predictions, write_predictions
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
