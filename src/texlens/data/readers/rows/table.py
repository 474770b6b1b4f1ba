"""Rows of an arrow table: one column of images, one of texts, whatever file or hub the table came from."""

import json
import math
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa

from texlens.core.errors import DataError
from texlens.core.regular_files import read_regular
from texlens.data.lazy_image import LazyImage
from texlens.data.readers.rows.fields import TEXT_FIELDS, joined_prompt
from texlens.data.readers.rows.image_files import image_path
from texlens.data.readers.rows.questions import FIELD as QUESTIONS
from texlens.data.readers.rows.questions import parse_questions
from texlens.data.readers.rows.turns import ROLES, UNSUPPORTED, ParsedTurn, apply_loss_mask, parse_history
from texlens.data.sample import Question, RejectedRow, Sample, Turn

LOADING = Lock()
"""One thread at a time reads the images of a split into memory."""
TURN_COLUMNS = ("conversations", "messages")
"""Columns that hold a row's turns, in place of a column of texts."""
LIST_COLUMNS = ("answers", "history", "loss_mask", "max_pixels", QUESTIONS)


class TableSource:
    """A `Source`; `load_images` returns the image column when the first image is asked for.

    Images are bytes, a file name, or both in a struct `{bytes, path}`, as `datasets` stores them; a list of these is a
    row of several images. Of the other columns `id`, `prompt`, `system`, `domain`, `answers`, `history`, `loss_mask`,
    `max_pixels` and `more_questions` become the sample's own; plain values of the rest, and what the JSON of a column
    `extra` holds, go to `extra`. A null id becomes split and number; an id that an earlier row has gets its row's
    number appended.
    """

    def __init__(
        self,
        texts: pa.Table,
        load_images: Callable[[], pa.ChunkedArray],
        *,
        split: str,
        text_column: str,
        where: str,
        location: Callable[[int], str],
        folder: Path | None = None,
        allow_outside: bool = False,
        several_images: bool = False,
    ):
        self.where = where
        self._split, self._location = split, location
        self._folder, self._allow_outside = folder, allow_outside
        self._load_images, self._several_images = load_images, several_images
        self._texts, reasons = _read_texts(texts.column(text_column), text_column, where)
        self._columns = {
            name: texts.column(name).to_pylist()
            for name in texts.column_names
            if name != text_column and _is_plain(texts.schema.field(name).type)
        }
        self._lists = {name: texts.column(name).to_pylist() for name in LIST_COLUMNS if _is_list(texts, name)}
        reasons |= _unsupported(texts)
        self._ids = unique_ids(self._columns.pop("id", None), split)
        self._turns = self._read_turns(reasons)
        self._questions = self._read_questions(reasons)
        self.rejected = {
            row: RejectedRow(self.id(row), location(row), reason, "row form", self._texts[row])
            for row, reason in sorted(reasons.items())
        }

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
        if row in self.rejected:
            raise DataError(str(self.rejected[row]))
        extra = {name: values[row] for name, values in self._columns.items() if values[row] is not None}
        system, domain = (_text_or_none(extra.pop(name, None)) for name in ("system", "domain"))
        prompt = joined_prompt(extra) if "prompt" not in extra else _text_or_none(extra.pop("prompt"))
        first, *others = [self._image(row, number) for number in range(self._image_count(row))]
        history, is_trained = self._turns.get(row, ((), True))
        return Sample(
            self.id(row),
            first,
            self._texts[row],
            prompt=prompt,
            system=system,
            domain=domain,
            extra=_with_json(extra),
            more_images=tuple(others),
            history=history,
            more_answers=tuple(self._list("answers", row))[1:],
            is_trained=is_trained,
            more_questions=self._questions.get(row, ()),
        )

    def _read_questions(self, reasons: dict[int, str]) -> dict[int, tuple[Question, ...]]:
        """Further questions of the rows that have some."""
        questions: dict[int, tuple[Question, ...]] = {}
        for row in range(len(self._texts) if QUESTIONS in self._lists else 0):
            prompt = _text_or_none(self._columns["prompt"][row]) if "prompt" in self._columns else None
            try:
                read = parse_questions(self._list(QUESTIONS, row), self._turns.get(row, ((), True))[0], prompt)
            except DataError as error:
                reasons.setdefault(row, str(error))
            else:
                questions |= {row: read} if read else {}
        return questions

    def _read_turns(self, reasons: dict[int, str]) -> dict[int, tuple[tuple[Turn, ...], bool]]:
        """Earlier turns and whether the answer is trained on, of the rows that have either."""
        turns: dict[int, tuple[tuple[Turn, ...], bool]] = {}
        for row in range(len(self._texts) if {"history", "loss_mask"} & set(self._lists) else 0):
            history, mask = self._list("history", row), self._list("loss_mask", row)
            if not history and not mask:
                continue
            try:
                turns[row] = _turns(history, mask or None)
            except DataError as error:
                reasons.setdefault(row, str(error))
        return turns

    def _list(self, name: str, row: int) -> list:
        return (self._lists[name][row] or []) if name in self._lists else []

    def _image(self, row: int, number: int) -> LazyImage:
        budgets = self._list("max_pixels", row)
        return LazyImage(
            lambda: self._image_bytes(row, number),
            self._location(row),
            read_name=lambda: self._stored_image(row, number)[1],
            max_pixels=budgets[number] if number < len(budgets) else None,
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
        data, name = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
        return (data if isinstance(data, bytes) else None), (name if isinstance(name, str) else None)

    def _image_bytes(self, row: int, number: int) -> bytes:
        data, name = self._stored_image(row, number)
        if data is not None:
            return data
        if not name or self._folder is None:
            raise DataError(f"{self._location(row)}: no image; fill the image column or remove the row")
        try:
            return read_regular(image_path(self._folder, name, allow_outside=self._allow_outside))
        except DataError as error:
            raise DataError(f"{self._location(row)}: {error}") from error

    @property
    def _images(self) -> pa.ChunkedArray:
        with LOADING:
            return self._loaded_images

    @cached_property
    def _loaded_images(self) -> pa.ChunkedArray:
        return self._load_images()


def check_columns(schema: pa.Schema, image_column: str, text_column: str, where: str) -> tuple[str, str]:
    """The columns of images and texts: those asked for, or the usual names where the default is not there.

    Example:
        a schema with images and latex, "image", "text" -> ("images", "latex")

    Raises:
        DataError: a column is missing, naming those that are there, or holds no images.
    """
    names = schema.names
    if image_column == "image" and "image" not in names and "images" in names:
        image_column = "images"
    if text_column == "text" and "text" not in names:
        text_column = next((name for name in TEXT_FIELDS if name in names), text_column)
    has_turns = bool(set(TURN_COLUMNS) & set(names))
    for what, column in (("image", image_column), ("text", text_column)):
        if column not in names and not (what == "text" and has_turns):
            raise DataError(f"{where}: no column {column!r} for the {what}; it has {', '.join(names)}")
    if not _holds_images(schema.field(image_column).type):
        kind = schema.field(image_column).type
        raise DataError(f"{where}: column {image_column!r} holds {kind}, not images; name another with --image-column")
    return image_column, text_column


def unique_ids(ids: list | None, split: str) -> list[str] | None:
    """
    Example:
        unique_ids(["a", None, "a"], "train") -> ["a", "train-1", "a#2"]
    """
    if ids is None:
        return None
    known: set[str] = set()
    unique: list[str] = []
    for row, value in enumerate(ids):
        name = f"{split}-{row}" if value is None else str(value)
        name = f"{name}#{row}" if name in known else name
        known.add(name)
        unique.append(name)
    return unique


def _turns(history: list, mask: list | None) -> tuple[tuple[Turn, ...], bool]:
    turns = _stored_turns(history) or parse_history(history)
    parsed = [ParsedTurn(turn.role, turn.text, is_trained=turn.is_trained) for turn in turns]
    parsed += [ParsedTurn("user", ""), ParsedTurn("assistant", "")]
    apply_loss_mask(parsed, mask)
    return tuple(turn.to_turn() for turn in parsed[:-2]), parsed[-1].is_trained


def _stored_turns(history: list) -> tuple[Turn, ...] | None:
    """Turns as `folder.columns` writes them, with their texts as they are; None for other spellings."""
    if not all(isinstance(turn, dict) and set(turn) == {"role", "content"} for turn in history):
        return None
    if not all(turn["role"] in ROLES and isinstance(turn["content"], str) for turn in history):
        return None
    return tuple(Turn(ROLES[turn["role"]], turn["content"]) for turn in history)


def _read_texts(column: pa.ChunkedArray, name: str, where: str) -> tuple[list[str], dict[int, str]]:
    """The texts, missing ones as "", and the rows without a usable one with the reason."""
    if pa.types.is_floating(column.type):
        values = column.to_pylist()
        bad = {row: "the text is NaN or Inf; fill it in" for row, value in enumerate(values) if _odd(value)}
        return ["" if value is None or row in bad else str(value) for row, value in enumerate(values)], bad
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


def _odd(value: float | None) -> bool:
    return value is not None and not math.isfinite(value)


def _unsupported(texts: pa.Table) -> dict[int, str]:
    """Rows with a value in a column that would change them and can't be honored."""
    reasons: dict[int, str] = {}
    for name in UNSUPPORTED:
        if name in texts.column_names:
            for row, value in enumerate(texts.column(name).to_pylist()):
                if value:
                    reasons.setdefault(row, f"{name!r} is not supported; remove it from the row")
    return reasons


def _text_or_none(value: Any) -> str | None:
    return None if value is None else str(value)


def _is_list(texts: pa.Table, name: str) -> bool:
    if name not in texts.column_names:
        return False
    kind = texts.schema.field(name).type
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _holds_images(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return not pa.types.is_list(kind.value_type) and _holds_images(kind.value_type)
    if pa.types.is_struct(kind):
        return {entry.name for entry in kind} & {"bytes", "path"} != set()
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_string, pa.types.is_large_string)
    return any(is_kind(kind) for is_kind in tests)


def _with_json(extra: dict) -> dict:
    """With the values of the JSON in a column `extra`; other text there stays as it is."""
    try:
        inner = json.loads(extra["extra"])
    except (KeyError, TypeError, ValueError, RecursionError):
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
