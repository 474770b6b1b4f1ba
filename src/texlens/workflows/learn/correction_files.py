r"""Corrections in a file: what is to be corrected goes out as CSV, and comes back as CSV, JSON or JSON lines.

    image,text,reading,doubt
    a.png,\frac{1}{2},\frac{1}{2,0.9312

`image` is a path in the folder; `text` is empty in a new file, and the formula once it is filled in. A text of `-`
leaves the image out; a row with an empty text is not corrected yet and is passed over.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from texlens.core.errors import DataError
from texlens.core.files import write_text
from texlens.core.regular_files import read_regular
from texlens.data.edits.edit import check_text
from texlens.data.edits.log import EditLog
from texlens.data.fingerprint import FileHashes
from texlens.data.readers.protocol import ReadOptions
from texlens.data.readers.rows.fields import image_field, no_field, text_field
from texlens.workflows.learn.corrections import correct, leave_out
from texlens.workflows.learn.images import FolderImages, LearnImage
from texlens.workflows.learn.queue import QueuedImage
from texlens.workflows.learn.reading import ImageReading

LEAVE_OUT = "-"
_MAX_BYTES = 256 << 20


@dataclass(frozen=True)
class Imported:
    """Rows of a file of corrections: new ones, those that say what is known already, and those without a text."""

    corrected: int
    left_out: int
    known: int
    empty: int


def write_queue(path: Path, images: Sequence[QueuedImage]) -> None:
    """The images to correct, in their order, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["image", "text", "reading", "doubt"])
    for each in images:
        writer.writerow([each.image.name, "", each.reading.text, f"{each.doubt.value:.4f}"])
    write_text(path, text.getvalue())


def import_corrections(
    path: Path, folder: Path, images: FolderImages, readings: Mapping[str, ImageReading], log: EditLog, *, who: str
) -> Imported:
    """Adds the corrections of a file; nothing is added where one of its rows is at fault.

    An image is found by its path in the folder, else beside the file, then by content.

    Raises:
        DataError: not such a file, or a row whose image is not in the folder.
    """
    rows = _rows(path)
    with FileHashes() as hashes:
        finder = _ImageFinder(images, (folder, path.parent), hashes)
        named = [finder.image(row, where) for where, row in rows]
    texts = [_text(row, where) for where, row in rows]
    counts = {"corrected": 0, "left_out": 0, "known": 0, "empty": 0}
    states = log.rows()
    for image, text in zip(named, texts, strict=True):
        state = states.get(image.key)
        reading = readings[image.key].text if image.key in readings else ""
        if not text:
            counts["empty"] += 1
        elif state is not None and (state.label == text or (text == LEAVE_OUT and state.excluded is not None)):
            counts["known"] += 1
        elif text == LEAVE_OUT:
            leave_out(log, image, who=who, why=path.name)
            counts["left_out"] += 1
        else:
            correct(log, image, text, reading=reading, who=who, note=path.name)
            counts["corrected"] += 1
    return Imported(**counts)


def _rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Rows with their places in the file.

    Raises:
        DataError: not CSV, JSON or JSON lines with an image and a text in each row.
    """
    try:
        text = read_regular(path, _MAX_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror or error}); check the path") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start + 1} is not UTF-8; save it as UTF-8") from None
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        rows = _csv_rows(path, text, "\t" if suffix == ".tsv" else ",")
    elif suffix in (".json", ".jsonl"):
        rows = _json_rows(path, text, lines=suffix == ".jsonl")
    else:
        raise DataError(f"{path}: corrections are read from .csv, .tsv, .json and .jsonl; save it as one of them")
    return rows


def _csv_rows(path: Path, text: str, delimiter: str) -> list[tuple[str, dict[str, Any]]]:
    csv.field_size_limit(16 << 20)
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        return [(f"{path} line {reader.line_num}", row) for row in reader]
    except csv.Error as error:
        raise DataError(f"{path} line {reader.line_num}: not CSV ({error}); fix its quotes") from None


def _json_rows(path: Path, text: str, *, lines: bool) -> list[tuple[str, dict[str, Any]]]:
    parts = [line for line in text.split("\n") if line.strip()] if lines else [text]
    try:
        values = [json.loads(part) for part in parts]
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error}); correct it") from None
    rows = values if lines else values[0]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path}: not a list of objects with image and text; correct it")
    return [(f"{path} row {number}", row) for number, row in enumerate(rows, 1)]


class _ImageFinder:
    """Images of the folder by the path that a row has, relative to one of `parents`; the folder is the first."""

    def __init__(self, images: FolderImages, parents: tuple[Path, ...], hashes: FileHashes):
        self._by_key = images.by_key
        by_name = {image.name: image for image in images.by_key.values()}
        self._by_name = by_name | {copy: by_name[name] for copy, name in images.copies.items()}
        self._parents, self._hashes = parents, hashes

    def image(self, row: dict[str, Any], where: str) -> LearnImage:
        column = image_field([name for name in row if name], ReadOptions())
        if column is None:
            raise DataError(f"{where}: {no_field('image', 'image', [str(name) for name in row])}")
        name = str(row[column])
        image = self._by_name.get(name) or self._by_content(name)
        if image is None:
            raise DataError(f"{where}: no image {name[:200]!r} in {self._parents[0]}; write its path in the folder")
        return image

    def _by_content(self, name: str) -> LearnImage | None:
        for parent in self._parents:
            with suppress(OSError, DataError):
                if image := self._by_key.get(self._hashes.of(parent / name)):
                    return image
        return None


def _text(row: dict[str, Any], where: str) -> str:
    column = text_field([name for name in row if name], ReadOptions())
    if column is None:
        raise DataError(f"{where}: {no_field('text', 'text', [str(name) for name in row])}")
    value = row[column]
    if value is not None and not isinstance(value, str):
        raise DataError(f"{where}: the text is a {type(value).__name__}, not a string; correct it")
    text = (value or "").strip()
    check_text(text, where)
    return text
