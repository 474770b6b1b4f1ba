"""Predictions on disk: JSON lines, one row a sample, so that scores can be computed again at any time.

A `PredictionCache` uses them again only where everything that made them is the same, and overwrites none.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from texlens.core.errors import DataError
from texlens.core.files import write_json, write_text
from texlens.core.run_folder import RunFolder
from texlens.latex.read_formula import formula_of
from texlens.metrics.prediction import Prediction, StopReason, renamed_fields

STOPS = get_args(StopReason)
CacheKey = dict[str, Any]
"""All that decides a prediction: rows, base, adapter or artifact, pixel budget, prompts, settings of generation."""


def write_predictions(path: Path, predictions: Iterable[Prediction], clean: bool | None = None) -> int:
    """`path` is always whole: the old rows or all of the new ones; returns the number of rows.

    Rows of formulas have `valid`, what clean-up `removed`, and a `confidence` of 0 where they are not valid; `clean` is
    the setting of that name, None for rows that are no formulas.
    """
    return _write_lines(path, (prediction_row(prediction, clean) for prediction in predictions))


def _write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    text = "".join(lines)
    if not Path(path).is_file() or Path(path).read_bytes() != text.encode():
        write_text(Path(path), text)
    return len(lines)


def prediction_row(prediction: Prediction, clean: bool | None = None) -> dict[str, Any]:
    """A prediction as it is stored (see `write_predictions`)."""
    row = prediction.to_row()
    if clean is None or prediction.stop == "failed":
        return row
    formula = formula_of(prediction.text, clean)
    removed = {"removed": list(formula.removed)} if formula.removed else {}
    return row | {"valid": formula.valid} | removed | ({} if formula.valid else {"confidence": 0.0})


def read_predictions(path: Path) -> list[Prediction]:
    """The rows of a predictions file, in its order; blank lines are passed over.

    Raises:
        DataError: no such file, or a line that is not a prediction (file and line named).
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: can't read it ({error.strerror}); run 'texlens evaluate' first") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 (byte {error.start}); write the predictions again") from error
    # Not splitlines: a formula may hold U+2028 or a form feed, and JSON leaves them as they are.
    return [_parsed(line, f"{path}, line {number}") for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def _parsed(line: str, where: str) -> Prediction:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where}: not JSON ({error}); remove the line or evaluate again") from error
    if not isinstance(row, dict):
        raise DataError(f"{where}: a {type(row).__name__}, not an object; remove the line or evaluate again")
    row = renamed_fields(row)
    for key in ("id", "reference", "text"):
        if not isinstance(row.get(key), str):
            raise DataError(f"{where}: '{key}' is missing or not a string; each row needs id, reference and text")
    if row.get("stop", "end") not in STOPS:
        raise DataError(f"{where}: 'stop' is {row['stop']!r}; it must be one of {', '.join(STOPS)}")
    more = row.get("more_references", [])
    if not isinstance(more, list) or not all(isinstance(text, str) for text in more):
        raise DataError(f"{where}: 'more_references' must be a list of strings; fix or remove it")
    return Prediction.from_row(row)


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

    def write(
        self,
        system: str,
        key: CacheKey,
        predictions: Sequence[Prediction],
        rows: Iterable[dict[str, Any]] | None = None,
    ) -> None:
        """Stores predictions under the key; others of that name are moved to `previous/`.

        `rows` are the predictions as `prediction_row` has them, where that is known.

        The key is written first: a kill before the predictions leaves a key alone, which counts as nothing.
        """
        path = self.folder.predictions(self.label, system)
        if path.is_file() and _stored_key(path) != key:
            self.folder.archive(path, path.with_suffix(".json"))
        write_json(path.with_suffix(".json"), key)
        _write_lines(path, [prediction_row(row, self.clean) for row in predictions] if rows is None else rows)


def _stored_key(predictions: Path) -> CacheKey | None:
    """The key stored next to predictions; a damaged one counts as none."""
    try:
        return json.loads(predictions.with_suffix(".json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
