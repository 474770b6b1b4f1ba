"""metrics.jsonl read in parts: what was appended since a position, and the last lines.

A resumed training cuts the lines after its checkpoint off. A position therefore records the bytes before it, and
reading starts again where they have changed.
"""

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CHECKED_BYTES = 256
_TAIL_BYTES = 16_384


@dataclass(frozen=True)
class Position:
    """`offset` bytes were read; `check` is the CRC-32 of the last of them.

    Example:
        str(Position(120, 99)) == "120-99"
    """

    offset: int = 0
    check: int = 0

    def __str__(self) -> str:
        return f"{self.offset}-{self.check}"

    @classmethod
    def parse(cls, text: str) -> "Position":
        """The beginning where the text is no position."""
        offset, _, check = text.partition("-")
        is_position = offset.isdecimal() and check.isdecimal()
        return cls(int(offset), int(check)) if is_position else cls()


@dataclass(frozen=True)
class NewRows:
    """`is_restart`: the rows are all rows, and what was read before is out of date."""

    rows: list[dict[str, Any]]
    position: Position
    is_restart: bool


def rows_since(path: Path, position: Position) -> NewRows:
    """Complete lines after the position; a last line that is being written is left for the next call."""
    try:
        with path.open("rb") as file:
            is_same = _check_before(file, position.offset) == position.check and position.offset > 0
            file.seek(position.offset if is_same else 0)
            data = file.read()
            data = data[: data.rfind(b"\n") + 1]
            end = (position.offset if is_same else 0) + len(data)
            return NewRows(_parsed(data), Position(end, _check_before(file, end)), not is_same)
    except OSError:
        return NewRows([], Position(), True)


def last_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of the last 16 KiB, oldest first."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(size - _TAIL_BYTES, 0))
            data = file.read()
    except OSError:
        return []
    return _parsed(data if size <= _TAIL_BYTES else data[data.find(b"\n") + 1 :])


def _check_before(file: Any, offset: int) -> int:
    start = max(offset - _CHECKED_BYTES, 0)
    file.seek(start)
    return zlib.crc32(file.read(offset - start))


def _parsed(data: bytes) -> list[dict[str, Any]]:
    """A damaged line is left out, as is a number that is NaN or Inf, which JSON for a browser can't hold."""
    rows = []
    for line in data.decode("utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line, parse_constant=lambda name: None)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows
