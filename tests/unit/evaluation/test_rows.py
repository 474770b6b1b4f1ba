"""Files of any program's predictions: their columns, what is missing in them, and what is written beside them."""

import json

import pytest

from texlens.core.errors import DataError
from texlens.evaluation.rows import PredictionColumns, read_rows, write_rows
from texlens.metrics.pairs import score_predictions

OURS = PredictionColumns("gt", "pred")


def file_of(tmp_path, *rows):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return path


def test_rows_keep_their_columns_and_gain_scores(tmp_path):
    path = file_of(
        tmp_path, {"gt": "x^2", "pred": "x^{2}", "page": 7}, {"gt": "y", "pred": None}, {"gt": "z", "pred": "z^{"}
    )
    rows, predictions = read_rows(path, OURS)
    write_rows(tmp_path / "out.jsonl", rows, predictions, score_predictions(predictions))
    output = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["cdm_f1"] for row in output] == [1.0, 0.0, 0.0]
    assert (output[0]["page"], output[0]["exact_match_canonical"], output[0]["character_error_rate"]) == (7, 1.0, 2 / 3)
    assert "problem" not in output[0]
    assert output[1]["problem"] == "no prediction"
    assert "character" in output[2]["problem"]


def test_ids_that_stand_twice_are_replaced_by_line_numbers(tmp_path):
    path = file_of(tmp_path, {"gt": "x", "pred": "x", "id": "a"}, "", {"gt": "y", "pred": "y", "id": "a"})
    assert [row.id for row in read_rows(path, OURS)[1]] == ["1", "3"]
    path = file_of(tmp_path, {"gt": "x", "pred": "x", "id": "a"}, {"gt": "y", "pred": "y", "id": "b"})
    assert [row.id for row in read_rows(path, OURS)[1]] == ["a", "b"]


def test_our_own_predictions_keep_their_stop(tmp_path):
    path = file_of(
        tmp_path,
        {"id": "a", "reference": "x", "text": "x", "stop": "length"},
        {"id": "b", "reference": "x", "text": "x", "stop": "failed", "error": "b.png: damaged"},
    )
    _, (cut, failed) = read_rows(path)
    assert (cut.stop, failed.stop, failed.error) == ("length", "failed", "b.png: damaged")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "rows.jsonl, line 1: not JSON"),
        ("[1]", "rows.jsonl, line 1: a list, not an object"),
        (
            '{"pred": "x"}',
            r"rows.jsonl, line 1: no string in column 'gt' \(there are: pred\); name it with --reference",
        ),
        ('{"gt": "x", "text": "x"}', r"no row has a column 'pred' \(there are: gt, text\); name it with --prediction"),
        ("", "rows.jsonl: no rows"),
    ],
)
def test_a_file_that_cannot_be_scored_says_why(tmp_path, line, message):
    with pytest.raises(DataError, match=message):
        read_rows(file_of(tmp_path, line), OURS)


def test_a_prediction_that_is_no_string_is_a_failed_one(tmp_path):
    _, (row, _) = read_rows(file_of(tmp_path, {"gt": "x", "pred": ["x"]}, {"gt": "x", "pred": "x"}), OURS)
    assert row.error == "the prediction is a list, not a string"


def test_the_old_column_truth_is_found_in_a_file_of_the_previous_version(tmp_path):
    path = tmp_path / "old.jsonl"
    path.write_text('{"truth": "x", "text": "y"}\n')
    assert [(row.reference, row.text) for row in read_rows(path)[1]] == [("x", "y")]


def test_a_file_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "bom.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"reference": "x", "text": "x"}\n')
    assert [row.reference for row in read_rows(path)[1]] == ["x"]
