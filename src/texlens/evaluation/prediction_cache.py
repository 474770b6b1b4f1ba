"""Predictions on disk, used again only where everything that made them is the same; none is ever overwritten."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from texlens.core.errors import DataError
from texlens.core.files import write_json
from texlens.core.run_folder import RunFolder
from texlens.evaluation.predictions import read_predictions, write_predictions
from texlens.metrics.prediction import Prediction

CacheKey = dict[str, Any]
"""All that decides a prediction: rows, base, adapter or artifact, pixel budget, prompts, settings of generation."""


@dataclass(frozen=True)
class PredictionCache:
    """The predictions of a run folder under one label (see `result_label`)."""

    folder: RunFolder
    label: str
    clean: bool | None = None
    """The setting `evaluate.clean`; None for rows that are no formulas (see `write_predictions`)."""

    def read(self, system: str, key: CacheKey, rows: int) -> list[Prediction] | None:
        """Predictions made under the same key, or None.

        Raises:
            DataError: the file is damaged or cut short.
        """
        path = self.folder.predictions(self.label, system)
        if not path.is_file() or _stored_key(path) != key:
            path = self.folder.previous(path)
            path = next((file for file in path if _stored_key(file) == key), None)
        if path is None:
            return None
        try:
            cached = read_predictions(path)
        except DataError as error:
            raise DataError(f"{error}; --no-cache reads the rows again") from None
        if len(cached) != rows:
            raise DataError(
                f"{path}: {len(cached)} rows where {rows} were read; restore it, or --no-cache reads the rows again"
            )
        write_predictions(path, cached, self.clean)
        return cached

    def write(self, system: str, key: CacheKey, predictions: Sequence[Prediction]) -> None:
        """Stores predictions under the key; others of that name are moved to `previous/`.

        The key is written first: a kill before the predictions leaves a key alone, which counts as nothing.
        """
        path = self.folder.predictions(self.label, system)
        if path.is_file() and _stored_key(path) != key:
            self.folder.archive(path, path.with_suffix(".json"))
        write_json(path.with_suffix(".json"), key)
        write_predictions(path, predictions, self.clean)


def _stored_key(predictions: Path) -> CacheKey | None:
    """The key stored next to predictions; a damaged one counts as none."""
    try:
        return json.loads(predictions.with_suffix(".json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
