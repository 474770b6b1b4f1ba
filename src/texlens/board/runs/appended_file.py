"""Files that a training appends to (metrics.jsonl, log.txt): what is new since a position, and the last lines.

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
MAX_BYTES = 20_000_000
"""Of one answer; a training writes about 150 bytes a measurement."""


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
class NewPart:
    """Complete lines after a position. `is_restart`: they are all lines, and what was read before is out of date."""

    data: bytes
    position: Position
    is_restart: bool

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Of JSON lines; a damaged line is left out, and NaN or Inf, which JSON can't hold, is None."""
        return _parsed(self.data)

    @property
    def lines(self) -> list[str]:
        return self.data.decode("utf-8", errors="replace").split("\n")[:-1]


def part_since(path: Path, position: Position, max_bytes: int = MAX_BYTES) -> NewPart:
    """Lines after the position, the last `max_bytes` of them; a last line that is being written is left for later."""
    try:
        with path.open("rb") as file:
            is_same = position.offset > 0 and _check_before(file, position.offset) == position.check
            start = position.offset if is_same else 0
            size = file.seek(0, 2)
            skipped = max(start, size - max_bytes)
            file.seek(skipped)
            data = file.read()
            end = skipped + data.rfind(b"\n") + 1
            data = data[: end - skipped]
            if skipped > start:
                data = data[data.find(b"\n") + 1 :]
            return NewPart(data, Position(end, _check_before(file, end)), not is_same)
    except OSError:
        return NewPart(b"", Position(), True)


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
    rows = []
    for line in data.decode("utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line, parse_constant=lambda name: None)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows
