"""A row whose images are files, and the `Source` that formats of text files (JSON, CSV, lists) share."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from texlens.core.errors import DataError
from texlens.data.lazy_image import LazyImage
from texlens.data.sample import Question, RejectedRow, Sample, Turn


@dataclass(frozen=True, slots=True)
class Record:
    """A row as read; `id` is None where it has none. `draw` makes an image that is not a file (strokes, say).

    `max_pixels` is the row's own pixel budget of each image, () where it sets none.
    """

    id: str | None
    images: tuple[Path, ...]
    text: str
    prompt: str | None = None
    system: str | None = None
    domain: str | None = None
    history: tuple[Turn, ...] = ()
    more_answers: tuple[str, ...] = ()
    extra: Mapping = field(default_factory=dict)
    draw: Callable[[], bytes] | None = None
    is_trained: bool = True
    max_pixels: tuple[int | None, ...] = ()
    more_questions: tuple[Question, ...] = ()


class RecordSource:
    """A `Source` of records, one each row; a row that could not be read is None, with its reason in `reasons`.

    A row without an id is named after split and number; a row whose id an earlier row has gets its number appended.
    `ignored` counts files that are no rows, by what they are.
    """

    def __init__(
        self,
        where: str,
        split: str,
        records: Sequence[Record | None],
        location: Callable[[int], str],
        reasons: Mapping[int, str],
        repeated: frozenset[int],
        ignored: Mapping[str, int] | None = None,
    ):
        if not len(records):
            raise DataError(f"{where}: no row in it; check data.path")
        self.where = where
        self.ignored = dict(ignored or {})
        self._split, self._records, self._location, self._repeated = split, records, location, repeated
        self.rejected = {
            row: RejectedRow(f"{split}-{row}", f"{where} {location(row)}".rstrip(), reason, "row form")
            for row, reason in reasons.items()
        }

    def __len__(self) -> int:
        return len(self._records)

    def id(self, row: int) -> str:
        return self._id(row, self._records[row])

    def text(self, row: int) -> str:
        record = self._records[row]
        return record.text if record else ""

    def sample(self, row: int) -> Sample:
        record = self._records[row]
        if record is None:
            raise DataError(str(self.rejected[row]))
        first, *others = self._images(row, record)
        return Sample(
            self._id(row, record),
            first,
            record.text,
            prompt=record.prompt,
            system=record.system,
            domain=record.domain,
            extra=dict(record.extra),
            more_images=tuple(others),
            history=record.history,
            more_answers=record.more_answers,
            is_trained=record.is_trained,
            more_questions=record.more_questions,
        )

    def _id(self, row: int, record: Record | None) -> str:
        if record is None or record.id is None:
            return f"{self._split}-{row}"
        return f"{record.id}#{row}" if row in self._repeated else record.id

    def _images(self, row: int, record: Record) -> list[LazyImage]:
        location = f"{self.where} {self._location(row)}".rstrip()
        if record.draw is not None:
            return [LazyImage(record.draw, location)]
        budgets = record.max_pixels or (None,) * len(record.images)
        return [
            LazyImage.from_file(path, f"{location} ({path.name})", budget)
            for path, budget in zip(record.images, budgets, strict=True)
        ]


class RowIndex:
    """What is collected while a file's rows are read one by one: ids that repeat, and reasons of rejected rows."""

    def __init__(self) -> None:
        self.reasons: dict[int, str] = {}
        self.repeated: set[int] = set()
        self._ids: set[int] = set()

    def see(self, row: int, read: Record | DataError) -> Record | None:
        """The record, or None for a row that is rejected."""
        if not isinstance(read, DataError):
            read = unreadable_text(read) or read
        if isinstance(read, DataError):
            self.reasons[row] = str(read)
            return None
        if read.id is not None:
            known = len(self._ids)
            self._ids.add(hash(read.id))
            if len(self._ids) == known:
                self.repeated.add(row)
        return read


def unreadable_text(record: Record) -> DataError | None:
    """Why no file of UTF-8 can hold the record's texts: half of a surrogate pair; None for all others."""
    texts = {
        "id": record.id,
        "text": record.text,
        "prompt": record.prompt,
        "system": record.system,
        "domain": record.domain,
        "answers": "".join(record.more_answers),
        "history": "".join(turn.text for turn in record.history),
        "more_questions": "".join(f"{question.prompt}{question.text}" for question in record.more_questions),
    }
    if record.extra:
        texts["extra"] = json.dumps(dict(record.extra), ensure_ascii=False, default=str)
    for name, text in texts.items():
        try:
            (text or "").encode()
        except UnicodeEncodeError as error:
            code = f"U+{ord((text or '')[error.start]):04X}"
            return DataError(f"{name}: character {error.start} is {code}, half of a surrogate pair; correct it")
    return None


def memory_source(
    where: str,
    split: str,
    rows: Iterable[tuple[str, Record | DataError]],
    ignored: Mapping[str, int] | None = None,
) -> RecordSource:
    """The source of (location, record or why there is none), held in memory: for formats whose rows are small.

    Raises:
        DataError: no row at all.
    """
    index, records, locations = RowIndex(), [], []
    for row, (location, read) in enumerate(rows):
        locations.append(location)
        records.append(index.see(row, read))
    return RecordSource(where, split, records, locations.__getitem__, index.reasons, frozenset(index.repeated), ignored)
