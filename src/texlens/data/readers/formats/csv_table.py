"""CSV and TSV: a header, then `image_path,text` or other columns; images lie beside, paths relative to the file.

`fields.py` knows the columns' usual names. A cell that holds line breaks is in quotes, as every spreadsheet writes
it.
"""

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from texlens.core.errors import DataError
from texlens.data.readers.protocol import DataFormat, ReadOptions
from texlens.data.readers.rows.fields import image_field, no_field, record_of_fields, text_field
from texlens.data.readers.rows.json_stream import check_not_utf16
from texlens.data.readers.rows.layout import SPLIT_NAMES
from texlens.data.readers.rows.record import Record, RecordSource, memory_source

MAX_CELL = 16 << 20
SUFFIXES = (".csv", ".tsv")


def open_table(file: Path, split: str, options: ReadOptions) -> RecordSource:
    """
    Raises:
        DataError: a column is missing (with those that are near), or no row.
    """
    digest = hashlib.sha256(str(file.stat().st_size).encode())
    with file.open("rb") as stream:
        digest.update(hashlib.file_digest(stream, "sha256").digest())
    return memory_source(str(file), split, digest.hexdigest(), _records(file, options))


def _records(file: Path, options: ReadOptions) -> Iterator[tuple[str, Record | DataError]]:
    csv.field_size_limit(MAX_CELL)
    lines = _Lines(file)
    rows = csv.reader(lines, delimiter="\t" if file.suffix == ".tsv" else ",", strict=True)
    names = next(rows, None)
    _check_header(file, names or [], options)
    while True:
        first = rows.line_num + 1
        try:
            cells = next(rows, None)
        except csv.Error as error:
            raise DataError(f"{file} line {first}: not CSV ({error}); fix its quotes") from error
        if cells is None:
            return
        if cells:
            yield f"line {first}", _record(file, names or [], cells, lines.faults(first, rows.line_num), options)


def _check_header(file: Path, names: list[str], options: ReadOptions) -> None:
    for what, field, column in (
        ("image", image_field(names, options), options.image_column),
        ("text", text_field(names, options), options.text_column),
    ):
        if field is None:
            raise DataError(f"{file}: {no_field(what, column, names)}")


def _record(
    file: Path, names: list[str], cells: list[str], fault: DataError | None, options: ReadOptions
) -> Record | DataError:
    if fault is not None:
        return fault
    try:
        return record_of_cells(names, cells, file.parent, options)
    except DataError as error:
        return error


def record_of_cells(names: Sequence[str], cells: Sequence[str], folder: Path, options: ReadOptions) -> Record:
    """As `record_of_fields`; an empty cell is none, and JSON in `answers` (a list) and `extra` is laid open.

    Raises:
        DataError: more or fewer cells than names, no image, or no text.
    """
    if len(cells) != len(names):
        raise DataError(f"{len(cells)} cells for {len(names)} columns; put texts with commas into quotes")
    text = text_field(names, options)
    row: dict[str, Any] = {name: cell for name, cell in zip(names, cells, strict=True) if cell != "" or name == text}
    answers, extra = _json(row.get("answers"), list), _json(row.get("extra"), dict)
    if answers is not None and text != "answers":
        row["answers"] = answers
    if extra is not None:
        del row["extra"]
    record = record_of_fields(row, folder, options)
    return replace(record, extra={**record.extra, **extra}) if extra is not None else record


def _json(cell: str | None, kind: type) -> Any:
    try:
        value = json.loads(cell or "")
    except ValueError:
        return None
    return value if isinstance(value, kind) else None


class _Lines:
    """The file's lines as text; of those that are no UTF-8 the faults are remembered by line."""

    def __init__(self, file: Path):
        self._file = file
        self._faults: dict[int, DataError] = {}

    def __iter__(self) -> Iterator[str]:
        with self._file.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if number == 1:
                    check_not_utf16(self._file, line)
                    line = line.removeprefix(b"\xef\xbb\xbf")
                try:
                    text = line.decode("utf-8")
                except UnicodeDecodeError as error:
                    location = f"byte {error.start + 1} of line {number} is 0x{line[error.start]:02x}"
                    self._faults[number] = DataError(f"{location}, not UTF-8; save the file as UTF-8")
                    text = line.decode("utf-8", errors="replace")
                yield text

    def faults(self, first: int, last: int) -> DataError | None:
        """The fault of a row that spans these lines."""
        return next((self._faults.pop(number) for number in range(first, last + 1) if number in self._faults), None)


def _files(path: Path) -> dict[str, Path]:
    if path.is_file():
        return {path.stem if path.stem in SPLIT_NAMES else "train": path}
    files = sorted(file for suffix in SUFFIXES for file in path.glob(f"*{suffix}"))
    named = {file.stem: file for file in files if file.stem in SPLIT_NAMES}
    return named or ({"train": files[0]} if len(files) == 1 else {})


def _recognizes(path: Path) -> bool:
    return path.suffix in SUFFIXES if path.is_file() else bool(_files(path))


def _splits(path: Path, options: ReadOptions) -> list[str]:
    if options.subset is not None:
        raise DataError(f"{path}: a CSV has no subsets; remove data.subset")
    return list(_files(path))


def _open(path: Path, split: str, options: ReadOptions) -> RecordSource:
    return open_table(_files(path)[split], split, options)


CSV = DataFormat("csv", _recognizes, _splits, _open)
