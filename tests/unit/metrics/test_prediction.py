"""A prediction as a row."""

from texlens.evaluation.predictions import read_predictions, write_predictions
from texlens.metrics.prediction import Prediction

ROWS = [
    Prediction(id="a", reference="x^2", text="x^2", tokens=4, log_probability=-0.5, domain="print"),
    Prediction(id="b", reference="\\frac12", text="汉字\u2028\f", stop="length"),
    Prediction(id="c", reference="y", text="", stop="failed", error="c.png: damaged"),
]


def test_what_is_written_is_read_back_as_it_was(tmp_path):
    assert write_predictions(tmp_path / "new" / "p.jsonl", ROWS) == 3
    assert read_predictions(tmp_path / "new" / "p.jsonl") == ROWS


def test_one_row_is_one_line(tmp_path):
    write_predictions(tmp_path / "p.jsonl", ROWS)
    assert (tmp_path / "p.jsonl").read_bytes().count(b"\n") == 3


def test_a_file_with_the_old_field_names_is_read(tmp_path):
    path = tmp_path / "old.jsonl"
    path.write_text('{"id": "a", "truth": "x^2", "text": "x", "more_truths": ["x"]}\n')
    assert read_predictions(path) == [Prediction("a", "x^2", "x", more_references=("x",))]
