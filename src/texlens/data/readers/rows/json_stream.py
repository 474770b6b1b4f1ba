"""JSON files read value by value: a file of many gigabytes needs a few megabytes of memory.

Each value comes with the offset and length of its bytes, so that it can be read again alone. A value that is damaged in
itself comes as a `DataError`, and the next ones are read.
"""

import codecs
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from texlens.core.errors import DataError
from texlens.core.regular_files import open_regular

CHUNK_BYTES = 1 << 20
MAX_VALUE_CHARACTERS = 64 << 20
"""One row of more is not read further: it is a file with a fault in it, or no row."""
TRUNCATED_WITHIN = 32
"""A fault so near to the end of what was read may be a value that goes on; one further inside is damage."""
NESTING = re.compile(r'"(?:[^"\\\n]|\\.)*"|[{}\[\]]')
"""Strings and brackets, to find the end of a damaged value."""
BRACKETS = {"{": "}", "[": "]"}
SPACE = re.compile(r"[ \t\r\n]*")
REMEDY = "fix it, or download it again if it is cut short"


@dataclass(frozen=True, slots=True)
class Value:
    """`key` is the name of the list that the value is in, None for a file that is one list."""

    key: str | None
    start: int
    length: int
    value: Any


def list_values(path: Path, keys: tuple[str, ...] = ()) -> Iterator[Value]:
    """The values of the file's list; of a file that is an object, those of its lists under one of `keys`.

    Raises:
        DataError: not UTF-8, not JSON, cut short, or of another form; with line and byte or column.
    """
    text = _Text(path)
    first = text.peek()
    if first == "[":
        yield from _values(text, None)
    elif first == "{":
        yield from _object(text, keys)
    else:
        value = text.value()[2]
        raise DataError(f"{path}: must hold a list of rows, not {type(value).__name__}")
    if text.peek():
        raise text.fault("more after its end")


def read_value(path: Path, start: int, length: int) -> Any:
    """The value of these bytes alone."""
    with path.open("rb") as file:
        file.seek(start)
        return json.loads(file.read(length))


def first_value(path: Path, keys: tuple[str, ...] = ()) -> Any:
    """The first value, to look at; None where the file begins otherwise."""
    try:
        return next((value.value for value in list_values(path, keys)), None)
    except (DataError, OSError):
        return None


def check_not_utf16(path: Path, data: bytes) -> None:
    """
    Raises:
        DataError: the file begins as UTF-16 does.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"{path}: byte 1 is 0x{data[0]:02x}: it is UTF-16; save it as UTF-8")


def _object(text: "_Text", keys: tuple[str, ...]) -> Iterator[Value]:
    """The lists under the keys; everything else is passed over a value at a time."""
    has_rows = False
    text.take("{")
    while text.peek() != "}":
        _, _, key = text.value()
        text.take(":")
        if key in keys and text.peek() == "[":
            has_rows = True
            yield from _values(text, key)
        else:
            text.value()
        if text.peek() != "}":
            text.take(",")
    text.take("}")
    if not has_rows:
        names = f" under one of {', '.join(keys)}" if keys else ""
        raise DataError(f"{text.path}: must hold a list of rows{names}, not dict; name it .jsonl if a row is a line")


def _values(text: "_Text", key: str | None) -> Iterator[Value]:
    text.take("[")
    while text.peek() != "]":
        yield Value(key, *text.row())
        if text.peek() != "]":
            text.take(",")
            if text.peek() == "]":
                raise text.fault("a comma before the end of the list")
    text.take("]")


class _Text:
    """A window on the file's text; `_at` is the character to be read next, `_byte` its place in the file."""

    def __init__(self, path: Path):
        self.path = path
        self._file = open_regular(path)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._json = json.JSONDecoder()
        self._text, self._at, self._byte = "", 0, 0
        self._line, self._column = 1, 0
        self._read, self._lines_read, self._ended = 0, 1, False
        self._more(CHUNK_BYTES)
        if self._text.startswith("\ufeff"):
            self._text, self._byte = self._text[1:], 3

    def peek(self) -> str:
        """The next character that is no space; "" at the end."""
        while True:
            self._go(SPACE.match(self._text, self._at).end())  # type: ignore[union-attr]
            if self._at < len(self._text) or self._ended:
                return self._text[self._at : self._at + 1]
            self._more(CHUNK_BYTES)

    def take(self, character: str) -> None:
        next_character = self.peek()
        if next_character != character:
            raise self.fault(f"{character!r} expected" if next_character else "the file ends in the middle")
        self._go(self._at + 1)

    def row(self) -> tuple[int, int, Any]:
        """As `value`, but of a damaged object or list the `DataError` why, where its end can be found."""
        first = self.peek()
        try:
            return self.value()
        except DataError as error:
            start = self._byte
            if first not in ("{", "[") or not self._skip():
                raise
            reason = str(error).removeprefix(f"{self.path} ").removesuffix(f"; {REMEDY}")
            return start, self._byte - start, DataError(f"{reason}; fix the row")

    def value(self) -> tuple[int, int, Any]:
        """Offset, length in bytes, and the value that comes next."""
        if not self.peek():
            raise self.fault("the file ends in the middle")
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                held = len(self._text) - self._at
                is_damage = error.pos < len(self._text) - TRUNCATED_WITHIN and "string" not in error.msg
                if self._ended or is_damage or held > MAX_VALUE_CHARACTERS:
                    raise self.fault(error.msg, error.pos) from error
                self._more(max(CHUNK_BYTES, held))
                continue
            except ValueError as error:
                raise self.fault("a number of more than 4,300 digits") from error
            except RecursionError as error:
                raise self.fault("nested too deeply") from error
            if end == len(self._text) and not self._ended:
                self._more(CHUNK_BYTES)
                continue
            start = self._byte
            self._go(end)
            return start, self._byte - start, value

    def _skip(self) -> bool:
        """Go past the brackets of the value that comes next; False where they don't match up."""
        opened, at = [], self._at
        while True:
            match = NESTING.search(self._text, at)
            if match is None:
                if self._ended or len(self._text) - self._at > MAX_VALUE_CHARACTERS:
                    return False
                at -= self._at
                self._more(CHUNK_BYTES)
                continue
            at = match.end()
            if match.group() in BRACKETS:
                opened.append(BRACKETS[match.group()])
            elif match.group() in ("}", "]") and opened.pop() != match.group():
                return False
            if not opened:
                self._go(at)
                return True

    def fault(self, reason: str, at: int | None = None) -> DataError:
        at = self._at if at is None else at
        before = self._text[:at]
        line = self._line + before.count("\n")
        column = at - before.rfind("\n") if "\n" in before else self._column + at + 1
        return DataError(f"{self.path} line {line} column {column}: not JSON ({reason}); {REMEDY}")

    def _go(self, to: int) -> None:
        passed = self._text[self._at : to]
        self._byte += len(passed) if passed.isascii() else len(passed.encode())
        self._at = to

    def _more(self, size: int) -> None:
        gone = self._text[: self._at]
        self._line += gone.count("\n")
        self._column = len(gone) - gone.rfind("\n") - 1 if "\n" in gone else self._column + len(gone)
        data = self._file.read(size)
        if not self._read:
            check_not_utf16(self.path, data)
        self._ended = len(data) < size
        try:
            new = self._decoder.decode(data, final=self._ended)
        except UnicodeDecodeError as error:
            raise self._not_utf8(error) from error
        self._read += len(data)
        self._lines_read += data.count(b"\n")
        self._text, self._at = self._text[self._at :] + new, 0
        if self._ended:
            self._file.close()

    def _not_utf8(self, error: UnicodeDecodeError) -> DataError:
        """`error.object` begins with what the last chunk left over of a character."""
        data = error.object
        line = self._lines_read + data.count(b"\n", 0, error.start)
        left_over = len(data) - (self._file.seek(0, os.SEEK_CUR) - self._read)
        byte = self._read - left_over + error.start + 1
        location = f"byte {byte} of the file is 0x{data[error.start]:02x}"
        return DataError(f"{self.path} line {line}: {location}, not UTF-8; save it as UTF-8")
