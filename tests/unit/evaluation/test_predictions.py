"""Predictions survive the trip to disk, and a bad line is named."""

import json

import pytest

from texlens.core.errors import DataError
from texlens.core.run_folder import RunFolder
from texlens.evaluation.predictions import PredictionCache, prediction_row, read_predictions, write_predictions
from texlens.metrics.prediction import Prediction

ROWS = [
    Prediction(id="a", reference="x^2", text="x^2", tokens=4, log_probability=-0.5, domain="print"),
    Prediction(id="b", reference="\\frac12", text="汉字\u2028\f", stop="length"),
    Prediction(id="c", reference="y", text="", stop="failed", error="c.png: damaged"),
]
FIRST, SECOND = [Prediction("1", "x", "x")], [Prediction("1", "x", "y")]


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


@pytest.fixture
def cache(tmp_path) -> PredictionCache:
    return PredictionCache(RunFolder(tmp_path), "test")


def test_predictions_are_used_again_under_the_same_key_alone(cache):
    cache.write("adapter", {"rows": "a"}, FIRST)
    assert cache.read("adapter", {"rows": "a"}, 1) == FIRST
    assert cache.read("adapter", {"rows": "b"}, 1) is None
    assert cache.read("base", {"rows": "a"}, 1) is None


def test_predictions_under_another_key_replace_none(cache):
    cache.write("adapter", {"rows": "a"}, FIRST)
    cache.write("adapter", {"rows": "b"}, SECOND)
    assert cache.read("adapter", {"rows": "b"}, 1) == SECOND
    assert cache.read("adapter", {"rows": "a"}, 1) == FIRST


def test_a_damaged_key_counts_as_none(cache, tmp_path):
    cache.write("adapter", {"rows": "a"}, FIRST)
    (tmp_path / "predictions/test.adapter.json").write_text("{")
    assert cache.read("adapter", {"rows": "a"}, 1) is None


def test_a_file_cut_short_is_an_error_with_the_remedy(cache, tmp_path):
    cache.write("adapter", {"rows": "a"}, FIRST * 2)
    with pytest.raises(DataError, match="2 rows where 3 were read; restore it, or --no-cache reads the rows again"):
        cache.read("adapter", {"rows": "a"}, 3)
    (tmp_path / "predictions/test.adapter.jsonl").write_text('{"id": "1"')
    with pytest.raises(DataError, match="--no-cache reads the rows again"):
        cache.read("adapter", {"rows": "a"}, 2)


def test_the_key_is_stored_next_to_the_predictions(cache, tmp_path):
    cache.write("adapter", {"rows": "a"}, FIRST)
    assert json.loads((tmp_path / "predictions/test.adapter.json").read_text()) == {"rows": "a"}


@pytest.mark.parametrize(("clean", "valid"), [(True, True), (False, False)])
def test_stored_rows_say_whether_they_are_formulas_by_the_setting_of_today(tmp_path, clean, valid):
    fenced = [Prediction("1", "x", "```x```")]
    PredictionCache(RunFolder(tmp_path), "test", clean=not clean).write("adapter", {}, fenced)
    assert PredictionCache(RunFolder(tmp_path), "test", clean=clean).read("adapter", {}, 1) == fenced
    assert json.loads((tmp_path / "predictions/test.adapter.jsonl").read_text())["valid"] == valid
