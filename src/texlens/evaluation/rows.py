"""Predictions of any program on disk: JSON lines whose columns have names of their saved."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from texlens.core.errors import DataError
from texlens.core.files import write_text
from texlens.metrics.pairs import Scored, prediction
from texlens.metrics.prediction import Prediction


@dataclass(frozen=True)
class PredictionColumns:
    """Which column holds what; `domain` and `id` may be absent from the rows."""

    reference: str = "reference"
    prediction: str = "text"
    domain: str = "domain"
    id: str = "id"


def read_rows(path: Path, columns: PredictionColumns = PredictionColumns()) -> tuple[list[dict], list[Prediction]]:
    """The rows as they stand, and a prediction of each in the same order; ids are those of the file if all differ.

    A row without a prediction is kept, as a failed one.

    Raises:
        DataError: no such file, a line that is no JSON object, or a row without a reference (file and line named).
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: can't read it ({error.strerror}); give a file of JSON lines") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 (byte {error.start}); save the file as UTF-8") from error
    # Not splitlines: a formula may hold U+2028 or a form feed, and JSON leaves them as they are.
    numbered = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not numbered:
        raise DataError(f"{path}: no rows; give a file of JSON lines")
    columns = _with_old_name(columns, numbered[0][1])
    rows = [_row(line, f"{path}, line {number}", columns) for number, line in numbered]
    return rows, _predictions(rows, [number for number, _ in numbered], columns)


def _with_old_name(columns: PredictionColumns, first_line: str) -> PredictionColumns:
    """The column `truth` where a file of version 0.1 has it and no other column was asked for."""
    is_old = columns.reference == "reference" and '"reference"' not in first_line and '"truth"' in first_line
    return replace(columns, reference="truth") if is_old else columns


def write_rows(path: Path, rows: Sequence[Mapping], predictions: Sequence[Prediction], scored: Scored) -> None:
    """Each row with its own columns, then its scores under their names; `problem` and `removed` where there is one."""
    values = dict(zip((row.prediction.id for row in scored.table.rows), scored.table.row_values(), strict=True))
    problems = {row.id: row.problem for row in scored.table.row_scores() if row.problem}
    removed = {row.prediction.id: list(row.removed) for row in scored.table.rows if row.removed}
    notes = {"problem": problems, "removed": removed}
    scored_rows = (
        {**row, **values[scored_row.id], **_of_row(notes, scored_row.id)}
        for row, scored_row in zip(rows, predictions, strict=True)
    )
    _write(path, scored_rows)


def _of_row(notes: Mapping[str, Mapping], name: str) -> dict:
    return {key: values[name] for key, values in notes.items() if name in values}


def _write(path: Path, rows: Iterable[Mapping]) -> None:
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _row(line: str, where: str, columns: PredictionColumns) -> dict:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON ({error}); fix or remove the line") from error
    if not isinstance(row, dict):
        raise DataError(f"{where}: a {type(row).__name__}, not an object; fix or remove the line")
    if not isinstance(row.get(columns.reference), str):
        names = ", ".join(list(row)[:8])
        raise DataError(
            f"{where}: no string in column '{columns.reference}' (there are: {names}); name it with --reference"
        )
    return row


def _predictions(rows: Sequence[dict], numbers: Sequence[int], columns: PredictionColumns) -> list[Prediction]:
    if not any(columns.prediction in row for row in rows):
        names = ", ".join(list(rows[0])[:8])
        raise DataError(f"no row has a column '{columns.prediction}' (there are: {names}); name it with --prediction")
    names = [str(row.get(columns.id, "")) for row in rows]
    if len(set(names)) < len(names):
        width = len(str(numbers[-1]))
        names = [f"{number:0{width}}" for number in numbers]
    return [_prediction(row, name, columns) for row, name in zip(rows, names, strict=True)]


def _prediction(row: dict, name: str, columns: PredictionColumns) -> Prediction:
    domain = row.get(columns.domain)
    text = None if row.get("stop") == "failed" else row.get(columns.prediction)
    parsed = prediction(name, row[columns.reference], text, None if domain is None else str(domain))
    if isinstance(row.get("corrected"), str):
        parsed = replace(parsed, corrected=row["corrected"])
    if parsed.stop == "failed":
        return replace(parsed, error=str(row.get("error") or parsed.error))
    return replace(parsed, stop=row["stop"]) if row.get("stop") in ("length", "loop") else parsed
