import pytest

from texlens.core.errors import DataError
from texlens.metrics.prediction import Prediction
from texlens.workflows.calibrate import calibration_of, store_calibration


def predictions(right: int, wrong: int) -> list[Prediction]:
    texts = ["x"] * right + ["y"] * wrong
    return [Prediction(str(i), "x", text, log_probability=-0.1 * (1 + i % 7)) for i, text in enumerate(texts)]


def test_a_prediction_is_right_by_its_canonical_form():
    rows = [*predictions(40, 20), Prediction("z", "x ^ { 2 }", "x^2", log_probability=-0.1)]
    calibration = calibration_of(rows, "demo validation")
    assert (calibration.rows, calibration.right) == (61, 41)


def test_rows_without_confidence_are_left_out():
    failed = Prediction("z", "x", "", stop="failed", error="damaged")
    assert calibration_of([*predictions(40, 20), failed], "demo").rows == 60
    with pytest.raises(DataError, match="demo: no row could be read"):
        calibration_of([failed], "demo")


def test_calibration_is_added_to_the_metadata_and_replaces_nothing_else(tmp_path):
    (tmp_path / "texlens.json").write_text('{"base": "nano"}')
    store_calibration(tmp_path, calibration_of(predictions(40, 20), "demo"))
    text = (tmp_path / "texlens.json").read_text()
    assert '"base": "nano"' in text
    assert '"rows": 60' in text
