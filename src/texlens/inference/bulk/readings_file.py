"""Image names to read, and the file that readings go into, line by line. No model is needed here."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from texlens.core.errors import DataError, RunError
from texlens.core.files import naming
from texlens.core.locks import try_lock
from texlens.data.image_formats import IMAGE_SUFFIXES

STDIN = "-"


def image_names(paths: Sequence[Path]) -> Iterator[str]:
    """The images that were named, and those in folders that were named, in order; standard input is `-`.

    Raises:
        DataError: nothing of what was named exists, or a folder holds no image.
    """
    if not any(str(path) == STDIN or path.exists() for path in paths):
        raise DataError(f"{paths[0]}: no such image file; check the path")
    for path in paths:
        if path.is_dir():
            yield from _in_folder(path)
        else:
            yield str(path)


def _in_folder(folder: Path) -> Iterator[str]:
    is_empty = True
    for parent, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if Path(name).suffix.lower() in IMAGE_SUFFIXES:
                is_empty = False
                yield os.path.join(parent, name)
    if is_empty:
        raise DataError(f"{folder}: no image in it ({', '.join(sorted(IMAGE_SUFFIXES))}); name another folder")


class ReadingsFile:
    """JSON lines, one an image, in one process's hands until it ends. A line that a crash cut short is removed; images
    with a complete line are not read again."""

    def __init__(self, path: Path):
        """
        Raises:
            DataError: a line of it is not a reading.
            RunError: another process writes into it.
        """
        self.path = path
        with naming(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b")
        if not try_lock(self._file):
            self._file.close()
            raise RunError(f"{path}: another process writes readings into it; wait for it, or name another file")
        self.rows: dict[str, dict[str, Any]] = {}
        """By image, what the file holds; of the readings no more than the stop reason and the error."""
        self._read_complete_lines()

    def missing(self, names: Iterable[str]) -> Iterator[str]:
        """Those of the names that are not in the file."""
        return (name for name in names if name not in self.rows)

    def append(self, rows: Iterable[dict[str, Any]]) -> None:
        with naming(self.path):
            for row in rows:
                self._file.write(_line(row))
                self._note(row)
            self._file.flush()

    def close(self) -> None:
        """Let other processes write."""
        self._file.close()

    def __enter__(self) -> "ReadingsFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_complete_lines(self) -> None:
        complete_bytes = 0
        self._file.seek(0)
        for number, line in enumerate(self._file, 1):
            if not line.endswith(b"\n"):
                break
            self._note(self._parsed(line, number))
            complete_bytes += len(line)
        self._file.truncate(complete_bytes)
        self._file.seek(0, os.SEEK_END)

    def _note(self, row: dict[str, Any]) -> None:
        self.rows[str(row["image"])] = {name: row[name] for name in ("image", "stop", "error") if name in row}

    def _parsed(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            row = json.loads(line)
            _ = row["image"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise DataError(f"{self.path}:{number}: not a reading; name another file with -o") from None
        return row


def _line(row: dict[str, Any]) -> bytes:
    try:
        return (json.dumps(row, ensure_ascii=False) + "\n").encode()
    except UnicodeEncodeError:  # a file name that is not UTF-8
        return (json.dumps(row) + "\n").encode()
