"""Images to read, however many, and the file that their readings go into, line by line; no model is needed here."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from texlens.core.errors import DataError
from texlens.core.files import naming

SUFFIXES = frozenset([".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"])
STDIN = "-"


def image_names(paths: Sequence[Path]) -> Iterator[str]:
    """The images named, and those in the folders named, in order; the standard input is `-`.

    Raises:
        DataError: nothing of what was named is there, or a folder holds no image.
    """
    if not any(str(path) == STDIN or path.exists() for path in paths):
        raise DataError(f"{paths[0]}: no such image file; check the path")
    for path in paths:
        if path.is_dir():
            yield from _in_folder(path)
        else:
            yield str(path)


def _in_folder(folder: Path) -> Iterator[str]:
    found = False
    for place, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if Path(name).suffix.lower() in SUFFIXES:
                found = True
                yield os.path.join(place, name)
    if not found:
        raise DataError(f"{folder}: no image in it ({', '.join(sorted(SUFFIXES))}); name another folder")


class ReadingsFile:
    """JSON lines, one an image. What a kill left half-written is cut off, what is whole is not read again."""

    def __init__(self, path: Path):
        """
        Raises:
            DataError: a line of it is no reading.
        """
        self.path = path
        self.done = self._whole_lines()
        """Names of the images that stand in it."""

    def missing(self, names: Iterable[str]) -> Iterator[str]:
        """Those of the names that are not in the file."""
        return (name for name in names if name not in self.done)

    def append(self, rows: Iterable[dict[str, Any]]) -> None:
        with naming(self.path), self.path.open("a", encoding="utf-8") as file:
            for row in rows:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def _whole_lines(self) -> set[str]:
        done: set[str] = set()
        if not self.path.is_file():
            with naming(self.path):
                self.path.parent.mkdir(parents=True, exist_ok=True)
            return done
        whole = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    break
                done.add(self._image(line, number))
                whole += len(line)
        os.truncate(self.path, whole)
        return done

    def _image(self, line: bytes, number: int) -> str:
        try:
            return str(json.loads(line)["image"])
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{self.path}:{number}: not a reading; name another file with -o") from None
