import pytest
from rich.console import Console

from texlens.core.errors import DataError
from texlens.inference.confidence import read_calibration
from texlens.metrics.prediction import Prediction
from texlens.workflows.calibrate import calibrate_after_training, calibration_of, store_calibration


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


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run on nano whose validation rows are read as `predictions(40, 20)`."""
    from texlens.config.load import build_config
    from texlens.core.run_folder import RunFolder

    folder = RunFolder(tmp_path)
    folder.adapter.mkdir()
    limits = []

    def predict_run(config, folder, **options):
        limits.append(config.evaluate.max_rows)
        return {"adapter": predictions(40, 20)}

    monkeypatch.setattr("texlens.workflows.calibrate.predict_run", predict_run)
    return build_config({"model": {"path": "nano"}, "data": {"path": "demo"}}), folder, limits


def test_a_training_ends_with_a_calibration_on_at_most_500_rows(run):
    config, folder, limits = run
    calibration = calibrate_after_training(config, folder, console=Console(quiet=True))
    assert (calibration.rows, limits) == (60, [500])
    assert read_calibration(folder.adapter) == calibration


@pytest.mark.parametrize("validation", [None, "validation"])
def test_without_rows_that_decide_it_nothing_is_stored(run, validation, capsys, monkeypatch):
    config, folder, limits = run
    splits = config.data.splits.model_copy(update={"validation": validation})
    config = config.model_copy(update={"data": config.data.model_copy(update={"splits": splits})})
    monkeypatch.setattr("texlens.workflows.calibrate.read_split", lambda *_, **__: [1, 2, 3])
    assert calibrate_after_training(config, folder, console=Console(stderr=True)) is None
    assert limits == []
    assert ("readings have no confidence" in capsys.readouterr().err) == (validation is not None)
