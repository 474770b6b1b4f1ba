"""Predictions on disk: JSON lines, one row a sample, so that scores can be computed again at any time."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

from texlens.core.errors import DataError
from texlens.core.files import write_text
from texlens.metrics.prediction import Prediction, StopReason, renamed_fields

STOPS = get_args(StopReason)


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> int:
    """`path` is always whole: the old rows or all of the new ones; returns the number of rows."""
    lines = [json.dumps(prediction.to_row(), ensure_ascii=False) + "\n" for prediction in predictions]
    write_text(Path(path), "".join(lines))
    return len(lines)


def read_predictions(path: Path) -> list[Prediction]:
    """The rows of a predictions file, in its order; blank lines are passed over.

    Raises:
        DataError: no such file, or a line that is not a prediction (file and line named).
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8")
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
