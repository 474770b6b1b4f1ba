"""CSV and TSV: a header, then `image_path,text` or other columns; image paths are relative to the file.

`fields.py` knows the columns' usual names. A cell with line breaks is in quotes, as every spreadsheet writes it.
"""

import csv
import json
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from texlens.core.errors import DataError, one_line
from texlens.core.regular_files import open_regular
from texlens.data.readers.protocol import DataFormat, ReadOptions
from texlens.data.readers.rows.fields import image_field, no_field, record_of_fields, text_field
from texlens.data.readers.rows.json_stream import check_not_utf16
from texlens.data.readers.rows.layout import SPLIT_NAMES
from texlens.data.readers.rows.record import Record, RecordSource, memory_source

MAX_CELL = 16 << 20
SUFFIXES = (".csv", ".tsv")
JSON_COLUMNS = {"answers": list, "history": list, "loss_mask": list, "more_questions": list, "extra": dict}
"""Columns whose cells hold JSON of this type."""
NUMBER_COLUMNS = ("resized_height", "resized_width", "max_pixels")


def open_table(file: Path, split: str, options: ReadOptions) -> RecordSource:
    """
    Raises:
        DataError: a column is missing (with those that are near) or occurs twice, or no row.
    """
    return memory_source(str(file), split, _records(file, options))


def record_of_cells(names: Sequence[str], cells: Sequence[str], folder: Path, options: ReadOptions) -> Record:
    """As `record_of_fields`; an empty cell is no value, and the JSON of `JSON_COLUMNS` is parsed.

    Raises:
        DataError: more or fewer cells than names, no image, or no text.
    """
    if len(cells) != len(names):
        raise DataError(f"{len(cells)} cells for {len(names)} columns; put texts with commas into quotes")
    text = text_field(names, options)
    row: dict[str, Any] = {name: cell for name, cell in zip(names, cells, strict=True) if cell != "" or name == text}
    for name, kind in JSON_COLUMNS.items():
        if name in row and name != text:
            row[name] = _json(row[name], kind)
    for name in NUMBER_COLUMNS:
        if str(row.get(name, "")).isdecimal():
            row[name] = int(row[name])
    extra = row.pop("extra") if isinstance(row.get("extra"), dict) else None
    record = record_of_fields(row, folder, options)
    return replace(record, extra={**record.extra, **extra}) if extra is not None else record


def _records(file: Path, options: ReadOptions) -> Iterator[tuple[str, Record | DataError]]:
    csv.field_size_limit(MAX_CELL)
    lines = _Lines(file)
    rows = _rows(lines, "\t" if file.suffix == ".tsv" else ",")
    _, names = next(rows, (0, []))
    if isinstance(names, DataError):
        raise DataError(f"{file} line 1: {names}")
    _check_header(file, names, options)
    for first, cells in rows:
        if not isinstance(cells, DataError):
            cells = lines.fault(first) or cells
        if cells:
            yield f"line {first}", cells if isinstance(cells, DataError) else _record(file, names, cells, options)


def _rows(lines: "_Lines", delimiter: str) -> Iterator[tuple[int, list[str] | DataError]]:
    """(number of its first line, cells or why there are none). After a fault the next line begins a row."""
    while True:
        first = lines.number + 1
        lines.begin_row()
        try:
            cells = next(csv.reader(lines, delimiter=delimiter, strict=True), None)
        except csv.Error as error:
            lines.back_to_line_after_first()
            yield first, DataError(f"not CSV ({one_line(error)}); fix its quotes")
            continue
        if cells is None:
            return
        yield first, cells


def _check_header(file: Path, names: list[str], options: ReadOptions) -> None:
    for what, field, column in (
        ("image", image_field(names, options), options.image_column),
        ("text", text_field(names, options), options.text_column),
    ):
        if field is None:
            raise DataError(f"{file}: {no_field(what, column, names)}")
    for name, count in Counter(names).items():
        if count > 1:
            raise DataError(f"{file}: {count} columns named {name!r}; rename or remove all but one")


def _record(file: Path, names: list[str], cells: list[str], options: ReadOptions) -> Record | DataError:
    try:
        return record_of_cells(names, cells, file.parent, options)
    except DataError as error:
        return error


def _json(cell: str, kind: type) -> Any:
    """The value of the JSON, or the cell where it is none of this type."""
    try:
        value = json.loads(cell)
    except RecursionError as error:
        raise DataError("JSON nested too deeply in a cell; correct it") from error
    except ValueError:
        return cell
    return value if isinstance(value, kind) else cell


class _Lines:
    """The file's lines as text, with LF, CRLF or CR alone at their ends; lines can be read again.

    Faults of lines that are not UTF-8 are kept by line number.
    """

    def __init__(self, file: Path):
        self.number = 0
        self._source = self._read(file)
        self._again: deque[str] = deque()
        self._of_row: list[str] = []
        self._faults: dict[int, DataError] = {}

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._source)
        self.number += 1
        self._of_row.append(line)
        return line

    def begin_row(self) -> None:
        self._of_row = []

    def back_to_line_after_first(self) -> None:
        """Give the row's lines but its first one again."""
        self._again.extendleft(reversed(self._of_row[1:]))
        self.number -= len(self._of_row) - 1

    def fault(self, first: int) -> DataError | None:
        """The fault of the row that begins in line `first` and ends in the line read last."""
        return next((self._faults[number] for number in range(first, self.number + 1) if number in self._faults), None)

    def _read(self, file: Path) -> Iterator[str]:
        number = 0
        with open_regular(file) as stream:
            for chunk in stream:
                if number == 0:
                    check_not_utf16(file, chunk)
                    chunk = chunk.removeprefix(b"\xef\xbb\xbf")
                for line in chunk.splitlines(keepends=True):
                    number += 1
                    yield self._decoded(number, line)

    def _decoded(self, number: int, line: bytes) -> str:
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError as error:
            location = f"byte {error.start + 1} of line {number} is 0x{line[error.start]:02x}"
            self._faults[number] = DataError(f"{location}, not UTF-8; save the file as UTF-8")
            return line.decode("utf-8", errors="replace")


def _files(path: Path) -> dict[str, Path]:
    if path.is_file():
        return {path.stem if path.stem in SPLIT_NAMES else "train": path}
    files = sorted(file for suffix in SUFFIXES for file in path.glob(f"*{suffix}") if file.is_file())
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
