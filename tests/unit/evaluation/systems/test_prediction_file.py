import json

import pytest

from texlens.core.errors import DataError
from texlens.data.sample import LazyImage, Sample
from texlens.evaluation.systems.prediction_file import PredictionFileSource

SAMPLES = [Sample(name, LazyImage.from_bytes(b""), text, domain="print") for name, text in (("a", "x"), ("b", "y"))]


def read(tmp_path, *rows: dict):
    path = tmp_path / "other.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return list(PredictionFileSource("other", path).open().generate(SAMPLES))


def test_predictions_are_matched_by_id_and_keep_reference_and_domain(tmp_path):
    predictions = read(tmp_path, {"id": "b", "prediction": "y"}, {"id": "a", "prediction": "z"})
    assert [(row.id, row.reference, row.text, row.domain) for row in predictions] == [
        ("a", "x", "z", "print"),
        ("b", "y", "y", "print"),
    ]


def test_predictions_without_ids_are_taken_in_order(tmp_path):
    assert [row.text for row in read(tmp_path, {"text": "1"}, {"text": "2"})] == ["1", "2"]


def test_a_row_without_a_text_has_failed(tmp_path):
    predictions = read(tmp_path, {"id": "a", "text": None}, {"id": "b", "text": "y"})
    assert [row.stop for row in predictions] == ["failed", "end"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": "a", "text": "x"}], "no prediction of row 'b'"),
        ([{"text": "x"}], "1 predictions without ids for 2 rows"),
        ([{"id": "a", "text": "x"}, {"id": "a", "text": "y"}], "an id is missing or occurs twice"),
        ([{"id": "a", "answer": "x"}], "line 1: none of the columns text, prediction, pred, output"),
        ([], "no predictions in it"),
    ],
)
def test_files_that_do_not_fit_the_rows_are_refused(tmp_path, rows, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, *rows)


def test_identity_is_that_of_the_file(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text('{"text": "x"}\n')
    before = PredictionFileSource("p", path).identity()
    path.write_text('{"text": "y"}\n')
    assert PredictionFileSource("p", path).identity() != before
