"""Rows of an arrow table: one column of images, one of texts, whatever file or hub the table came from."""

import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from threading import Lock

import pyarrow as pa

from texlens.core.errors import DataError
from texlens.data.readers.rows.image_files import image_path
from texlens.data.sample import LazyImage, RejectedRow, Sample, Turn

LOADING = Lock()
"""One thread at a time reads the images of a split into memory."""


class TableSource:
    """A `Source`; `load_images` gives the image column when the first image is asked for.

    Images are bytes, a file name, or both in a struct `{bytes, path}`, as `datasets` stores them; a list of these is a
    row of several images. Of the other columns `id`, `prompt`, `system`, `domain`, `answers` and `history` become the
    sample's own; plain values of the rest, and what the JSON of a column `extra` holds, go to `extra`.
    """

    def __init__(
        self,
        texts: pa.Table,
        load_images: Callable[[], pa.ChunkedArray],
        *,
        split: str,
        text_column: str,
        where: str,
        identity: str,
        location: Callable[[int], str],
        folder: Path | None = None,
        allow_outside: bool = False,
        several_images: bool = False,
    ):
        self.where, self.identity = where, identity
        self.rejected: dict[int, RejectedRow] = {}
        self._split, self._location = split, location
        self._folder, self._allow_outside = folder, allow_outside
        self._load_images, self._several_images = load_images, several_images
        self._texts, damaged = _read_texts(texts.column(text_column), text_column, where)
        self._columns = {
            name: texts.column(name).to_pylist()
            for name in texts.column_names
            if name != text_column and _is_plain(texts.schema.field(name).type)
        }
        self._answers = _list_column(texts, "answers", pa.types.is_string)
        self._history = _list_column(texts, "history", pa.types.is_struct)
        self._ids = unique_ids(self._columns.pop("id", None), where)
        for row, reason in damaged.items():
            self.rejected[row] = RejectedRow(self.id(row), location(row), reason, "not UTF-8")

    def __getstate__(self) -> dict:
        """Images that were read stay behind: a worker that is not forked reads its own."""
        return {name: value for name, value in self.__dict__.items() if name != "_loaded_images"}

    def __len__(self) -> int:
        return len(self._texts)

    def id(self, row: int) -> str:
        return self._ids[row] if self._ids else f"{self._split}-{row}"

    def text(self, row: int) -> str:
        return self._texts[row]

    def sample(self, row: int) -> Sample:
        extra = {name: values[row] for name, values in self._columns.items() if values[row] is not None}
        fields = {name: extra.pop(name, None) for name in ("prompt", "system", "domain")}
        fields = {name: None if value is None else str(value) for name, value in fields.items()}
        first, *others = [self._image(row, number) for number in range(self._image_count(row))]
        answers, history = self._answers, self._history
        return Sample(
            self.id(row),
            first,
            self._texts[row],
            extra=_with_json(extra),
            more_images=tuple(others),
            history=tuple(Turn(turn["role"], turn["content"]) for turn in history[row] or ()) if history else (),
            more_answers=tuple(answers[row] or ())[1:] if answers else (),
            **fields,
        )

    def _image(self, row: int, number: int) -> LazyImage:
        return LazyImage(
            lambda: self._image_bytes(row, number),
            self._location(row),
            read_name=lambda: self._stored_image(row, number)[1],
        )

    def _image_count(self, row: int) -> int:
        """One; where rows have lists of images the column must be read to know. A row of none fails when it is read."""
        return max(1, len(self._images[row].as_py() or ())) if self._several_images else 1

    def _stored_image(self, row: int, number: int) -> tuple[bytes | None, str | None]:
        """Bytes and name, as far as the row has them."""
        value = self._images[row].as_py()
        if self._several_images:
            value = value[number] if value else None
        if isinstance(value, str):
            return None, value
        return (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)

    def _image_bytes(self, row: int, number: int) -> bytes:
        data, name = self._stored_image(row, number)
        if data is not None:
            return data
        if not name or self._folder is None:
            raise DataError(f"{self._location(row)}: no image; fill the image column or remove the row")
        try:
            return image_path(self._folder, name, allow_outside=self._allow_outside).read_bytes()
        except DataError as error:
            raise DataError(f"{self._location(row)}: {error}") from error

    @property
    def _images(self) -> pa.ChunkedArray:
        with LOADING:
            return self._loaded_images

    @cached_property
    def _loaded_images(self) -> pa.ChunkedArray:
        return self._load_images()


def check_columns(names: list[str], image_column: str, text_column: str, where: str) -> str:
    """The column of images: `images` where there is no `image`, else the one asked for.

    Raises:
        DataError: a column is missing, naming those that are there.
    """
    if image_column == "image" and "image" not in names and "images" in names:
        image_column = "images"
    for what, column in (("image", image_column), ("text", text_column)):
        if column not in names:
            raise DataError(f"{where}: no column {column!r} for the {what}; it has {', '.join(names)}")
    return image_column


def unique_ids(ids: list | None, where: str) -> list[str] | None:
    """
    Raises:
        DataError: an id is used by two rows, so predictions could not be distinguished.
    """
    if ids is None:
        return None
    first: dict[str, int] = {}
    for row, value in enumerate(map(str, ids)):
        if first.setdefault(value, row) != row:
            raise DataError(f"{where}: id {value!r} is used by rows {first[value]} and {row}; make ids unique")
    return list(first)


def _read_texts(column: pa.ChunkedArray, name: str, where: str) -> tuple[list[str], dict[int, str]]:
    """The texts, missing ones as "", and the rows whose bytes are no UTF-8 with the reason."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        try:
            column = column.cast(pa.string())
        except pa.ArrowException as error:
            raise DataError(f"{where}: column {name!r} holds {column.type}, not text; name another column") from error
    try:
        return [text or "" for text in column.to_pylist()], {}
    except UnicodeDecodeError:
        damaged: dict[int, str] = {}
        texts = [""] * len(column)
        for row, data in enumerate(column.cast(pa.large_binary()).to_pylist()):
            try:
                texts[row] = (data or b"").decode("utf-8")
            except UnicodeDecodeError as error:
                damaged[row] = f"the text's byte {error.start} is 0x{data[error.start]:02x}, not UTF-8; fix the row"
        return texts, damaged


def _list_column(texts: pa.Table, name: str, holds: Callable[[pa.DataType], bool]) -> list | None:
    """The column of lists of what `holds` accepts, None where there is none such."""
    if name not in texts.column_names:
        return None
    kind = texts.schema.field(name).type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return texts.column(name).to_pylist() if is_list and holds(kind.value_type) else None


def _with_json(extra: dict) -> dict:
    """With what the column `extra` holds as JSON laid open; other text there stays as it is."""
    try:
        inner = json.loads(extra["extra"])
    except (KeyError, TypeError, ValueError):
        return extra
    return (
        {name: value for name, value in extra.items() if name != "extra"} | inner if isinstance(inner, dict) else extra
    )


def _is_plain(kind: pa.DataType) -> bool:
    plain = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_boolean,
        pa.types.is_integer,
        pa.types.is_floating,
    )
    return any(is_kind(kind) for is_kind in plain)
