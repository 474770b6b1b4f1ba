"""Rows of an arrow table: one column of images, one of texts, whatever file or hub the table came from."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from threading import Lock

import pyarrow as pa

from texlens.core.errors import DataError
from texlens.data.sample import LazyImage, Refusal, Sample
from texlens.data.sources.images import image_path

LOADING = Lock()
"""One thread at a time reads the images of a split into memory."""


class TableSource:
    """A `Source`; `load_images` gives the image column when the first image is asked for.

    Images are bytes, a file name, or both in a struct `{bytes, path}`, as `datasets` stores them. Of the other columns
    `id`, `prompt`, `system` and `domain` become the sample's own; plain values of the rest stand in `extra`.
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
        place: Callable[[int], str],
        folder: Path | None = None,
        allow_outside: bool = False,
    ):
        self.where, self.identity = where, identity
        self.refusals: dict[int, Refusal] = {}
        self._split, self._place = split, place
        self._folder, self._allow_outside = folder, allow_outside
        self._load_images = load_images
        self._texts, damaged = _read_texts(texts.column(text_column), text_column, where)
        self._columns = {
            name: texts.column(name).to_pylist()
            for name in texts.column_names
            if name != text_column and _is_plain(texts.schema.field(name).type)
        }
        self._ids = unique_ids(self._columns.pop("id", None), where)
        for row, reason in damaged.items():
            self.refusals[row] = Refusal(self.id(row), place(row), reason, "not UTF-8")

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
        extra = {name: values[row] for name, values in self._columns.items()}
        own = {name: extra.pop(name, None) for name in ("prompt", "system", "domain")}
        own = {name: None if value is None else str(value) for name, value in own.items()}
        image = LazyImage(lambda: self._image_bytes(row), self._place(row))
        return Sample(self.id(row), image, self._texts[row], extra=extra, **own)

    def _image_bytes(self, row: int) -> bytes:
        value = self._images[row].as_py()
        data, name = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
        if isinstance(data, str):
            data, name = None, data
        if data is not None:
            return data
        if not name or self._folder is None:
            raise DataError(f"{self._place(row)}: no image; fill the image column or remove the row")
        try:
            return image_path(self._folder, name, allow_outside=self._allow_outside).read_bytes()
        except DataError as error:
            raise DataError(f"{self._place(row)}: {error}") from error

    @property
    def _images(self) -> pa.ChunkedArray:
        with LOADING:
            return self._loaded_images

    @cached_property
    def _loaded_images(self) -> pa.ChunkedArray:
        return self._load_images()


def check_columns(names: list[str], image_column: str, text_column: str, where: str) -> None:
    """
    Raises:
        DataError: a column is missing, naming those that are there.
    """
    for what, column in (("image", image_column), ("text", text_column)):
        if column not in names:
            raise DataError(f"{where}: no column {column!r} for the {what}; it has {', '.join(names)}")


def unique_ids(ids: list | None, where: str) -> list[str] | None:
    """
    Raises:
        DataError: an id stands in two rows, so predictions could not be told apart.
    """
    if ids is None:
        return None
    first: dict[str, int] = {}
    for row, value in enumerate(map(str, ids)):
        if first.setdefault(value, row) != row:
            raise DataError(f"{where}: id {value!r} stands in rows {first[value]} and {row}; make ids unique")
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
                damaged[row] = f"the text's byte {error.start} is 0x{data[error.start]:02x}, not UTF-8; mend the row"
        return texts, damaged


def _is_plain(kind: pa.DataType) -> bool:
    plain = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_boolean,
        pa.types.is_integer,
        pa.types.is_floating,
    )
    return any(is_kind(kind) for is_kind in plain)
