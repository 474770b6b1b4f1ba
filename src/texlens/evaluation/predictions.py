"""Predictions on disk: JSON lines, one row a sample, so that scores can be computed again at any time."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

from texlens.core.errors import DataError
from texlens.core.files import write_text
from texlens.latex.read_formula import formula_of
from texlens.metrics.prediction import Prediction, StopReason, renamed_fields

STOPS = get_args(StopReason)


def write_predictions(path: Path, predictions: Iterable[Prediction], clean: bool | None = None) -> int:
    """`path` is always whole: the old rows or all of the new ones; returns the number of rows.

    Rows of formulas have `valid`, what clean-up `removed`, and a `confidence` of 0 where they are not valid; `clean` is
    the setting of that name, None for rows that are no formulas.
    """
    lines = [json.dumps(prediction_row(prediction, clean), ensure_ascii=False) + "\n" for prediction in predictions]
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
