"""Calibration of a model's confidence on rows with known texts, stored in the adapter's metadata."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from texlens.config.run import RunConfig
from texlens.core.errors import DataError
from texlens.core.files import write_json
from texlens.core.run_folder import RunFolder
from texlens.evaluation.run import predict_run
from texlens.inference.confidence import KEY, MIN_ROWS, Calibration, fit
from texlens.inputs.build import read_split
from texlens.metrics.prediction import Prediction
from texlens.metrics.scored_prediction import ScoredPrediction
from texlens.models.metadata import METADATA_FILE, read_metadata

MAX_ROWS = 500
"""Validation rows that are read at the end of a training; one temperature is fitted, for which more are not needed."""


def calibrate_run(
    config: RunConfig, folder: RunFolder, *, console: Console, split: str = "validation", use_cache: bool = True
) -> Calibration:
    """Fits the calibration of the run's adapter on a split and stores it in the adapter's metadata.

    Raises:
        DataError: too few rows, or none right, or none wrong.
    """
    predictions = predict_run(config, folder, split=split, systems=["adapter"], use_cache=use_cache, console=console)
    calibration = calibration_of(predictions["adapter"], f"{config.data.path} {split}")
    store_calibration(folder.adapter, calibration)
    return calibration


def calibrate_after_training(config: RunConfig, folder: RunFolder, *, console: Console) -> Calibration | None:
    """Calibrates the adapter on at most `MAX_ROWS` validation rows, so that its readings have a confidence.

    Returns:
        None where there is no validation split, or its rows can't decide it; the console then says why.
    """
    if config.data.splits.validation is None:
        return None
    rows = min(config.evaluate.max_rows or MAX_ROWS, MAX_ROWS)
    evaluate = config.evaluate.model_copy(update={"max_rows": rows, "temperature": 0.0})
    try:
        if len(read_split(config.data, "validation", limit=rows)) < MIN_ROWS:
            raise DataError(f"fewer than {MIN_ROWS} validation rows")
        return calibrate_run(config.model_copy(update={"evaluate": evaluate}), folder, console=console)
    except DataError as error:
        console.print(f"note: readings have no confidence, not calibrated: {error}", style="yellow", markup=False)
        return None


def calibration_of(predictions: Sequence[Prediction], measured_on: str) -> Calibration:
    """A prediction is right if it has the canonical form of its reference; rows that could not be read are left out,
    because they have no confidence.

    Raises:
        DataError: too few rows, or none right, or none wrong.
    """
    scored = [row for row in predictions if row.log_probability is not None]
    if not scored:
        raise DataError(f"{measured_on}: no row could be read; check its images")
    right = [row.stop == "end" and ScoredPrediction.of(row).is_canonically_exact for row in scored]
    return fit([row.log_probability or 0.0 for row in scored], right, measured_on)


def store_calibration(folder: Path, calibration: Calibration) -> None:
    """Adds the calibration to the folder's texlens.json."""
    write_json(folder / METADATA_FILE, {**read_metadata(folder), KEY: calibration.to_json()})
