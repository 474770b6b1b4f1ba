"""Rows of a JSON or JSONL file: each is known by where its bytes lie, and parsed again when it is asked for.

Small files are held as parsed; of large ones memory holds 24 bytes a row.
"""

import json
from array import array
from collections.abc import Callable, Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any, overload

from texlens.core.errors import DataError
from texlens.core.regular_files import open_regular
from texlens.data.readers.rows.json_stream import check_not_utf16, first_value, list_values, read_value
from texlens.data.readers.rows.layout import SPLIT_NAMES
from texlens.data.readers.rows.record import Record, RecordSource, RowIndex

MAX_LINE_BYTES = 64 << 20
MAX_IN_MEMORY_BYTES = 64 << 20
"""Rows of larger files are not held in memory. A row costs 20 to 40 µs to parse."""
NOT_ROWS = ("texlens-data.json", "texlens-export.json", "rejected.jsonl", "refused.jsonl")
"""Accounts that our own commands write beside rows."""
LIST_KEYS = ("data", "rows", "samples")
"""Where a JSON file that is an object may have its list of rows."""

Parse = Callable[[Any], Record]


def json_source(path: Path, split: str, parse: Parse) -> RecordSource:
    """The source of a file whose rows `parse` understands (or raises a `DataError` about).

    Raises:
        DataError: not UTF-8, no JSON, cut short, or no row in it.
    """
    rows = _JsonRecords(path, parse, held=path.stat().st_size <= MAX_IN_MEMORY_BYTES)
    index = RowIndex()
    for line, start, length, value in _rows(path):
        try:
            read = value if isinstance(value, DataError) else parse(value)
        except DataError as error:
            read = error
        rows.append(line, start, length, index.see(len(rows), read))
    return RecordSource(
        str(path),
        split,
        rows,
        rows.location,
        index.reasons,
        frozenset(index.repeated),
    )


def split_files(path: Path) -> dict[str, Path]:
    """The file of each split: named after it; the only one there is is `train`."""
    if path.is_file():
        return {path.stem if path.stem in SPLIT_NAMES else "train": path}
    candidates = [file for end in ("json", "jsonl") for file in path.glob(f"*.{end}")]
    files = sorted(file for file in candidates if file.name not in NOT_ROWS and file.is_file())
    named = {file.stem: file for file in files if file.stem in SPLIT_NAMES}
    return named or ({"train": files[0]} if len(files) == 1 else {file.stem: file for file in files})


def first_row(path: Path) -> Any:
    """The first row of a file or folder, by which the format is recognized; None if there is none."""
    if path.is_file() and path.suffix not in (".json", ".jsonl"):
        return None
    file = next(iter(split_files(path).values()), None)
    if file is None:
        return None
    return _first_line(file) if _is_lines(file) else first_value(file, LIST_KEYS)


class _JsonRecords(Sequence[Record | None]):
    def __init__(self, path: Path, parse: Parse, *, held: bool):
        self._path, self._parse = path, parse
        self._lines, self._starts, self._lengths = array("Q"), array("Q"), array("Q")
        self._held: list[Record | None] | None = [] if held else None

    def append(self, line: int, start: int, length: int, record: Record | None) -> None:
        """`line` is 0 in a file whose rows are no lines; a row of length 0 is one that can't be read."""
        self._lines.append(line)
        self._starts.append(start)
        self._lengths.append(0 if record is None else length)
        if self._held is not None:
            self._held.append(record)

    def location(self, row: int) -> str:
        return f"line {self._lines[row]}" if self._lines[row] else f"row {row}"

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, row: int) -> Record | None: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[Record | None]: ...
    def __getitem__(self, row):
        if isinstance(row, slice):
            return [self[number] for number in range(len(self))[row]]
        if self._held is not None:
            return self._held[row]
        if not self._lengths[row]:
            return None
        return self._parse(read_value(self._path, self._starts[row], self._lengths[row]))


def _rows(path: Path) -> Iterator[tuple[int, int, int, Any]]:
    """(line or 0, start, length, row or the `DataError` why it is none)."""
    if _is_lines(path):
        yield from _lines(path)
        return
    for value in list_values(path, LIST_KEYS):
        yield 0, value.start, value.length, value.value


def _is_lines(path: Path) -> bool:
    """A row a line: by the name, or since a .json's first line is a whole object and the second begins another."""
    if path.suffix == ".jsonl":
        return True
    first, second = _beginning(path, 2)
    return second.lstrip().startswith(b"{") and isinstance(_parse_line(first), dict)


def _beginning(path: Path, count: int) -> list[bytes]:
    with open_regular(path) as file:
        return [file.readline(1 << 20) for _ in range(count)]


def _first_line(path: Path) -> Any:
    with open_regular(path) as file:
        for _ in range(100):
            row = _parse_line(file.readline(1 << 24).removeprefix(b"\xef\xbb\xbf").strip())
            if isinstance(row, dict) and row:
                return row
    return None


def _lines(path: Path) -> Iterator[tuple[int, int, int, Any]]:
    start = 0
    with open_regular(path) as file:
        for number, line in enumerate(_bounded_lines(file), 1):
            length, skipped = len(line), 0
            if number == 1:
                check_not_utf16(path, line)
                skipped = 3 if line.startswith(b"\xef\xbb\xbf") else 0
            if line[skipped:].strip():
                yield number, start + skipped, length - skipped, _parse_line(line[skipped:].rstrip())
            start += length


def _bounded_lines(file: BufferedReader) -> Iterator[bytes]:
    """Lines of at most `MAX_LINE_BYTES`; a longer one comes in pieces, of which none is JSON."""
    while line := file.readline(MAX_LINE_BYTES):
        yield line


def _parse_line(line: bytes) -> Any:
    try:
        return json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return DataError(
            f"byte {error.start + 1} of the line is 0x{line[error.start]:02x}, not UTF-8; save it as UTF-8"
        )
    except json.JSONDecodeError as error:
        return DataError(f"not JSON at character {error.pos + 1} ({error.msg})")
    except ValueError:
        return DataError("a number of more than 4,300 digits; write it as text")
    except RecursionError:
        return DataError("not JSON of sane depth")
