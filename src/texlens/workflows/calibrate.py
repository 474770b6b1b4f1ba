"""Calibration of a model's confidence on rows with known texts, stored in the adapter's metadata."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from texlens.config.run import RunConfig
from texlens.core.errors import DataError
from texlens.core.files import write_json
from texlens.core.run_folder import RunFolder
from texlens.evaluation.run import predict_run
from texlens.inference.confidence import KEY, Calibration, fit
from texlens.metrics.prediction import Prediction
from texlens.metrics.scored_prediction import ScoredPrediction
from texlens.models.metadata import METADATA_FILE, read_metadata


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
