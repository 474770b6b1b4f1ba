"""A row whose images are files, and the `Source` that formats of text files (JSON, CSV, lists) share."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from texlens.core.errors import DataError
from texlens.data.sample import LazyImage, RejectedRow, Sample, Turn


@dataclass(frozen=True, slots=True)
class Record:
    """A row as read; `id` is None where it names none. `draw` makes an image that is not a file (strokes, say)."""

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


class RecordSource:
    """A `Source` of records, one each row; a row that could not be read is None there and is in `reasons`.

    A row without an id is called after split and number; one whose id an earlier row has gets its number after it.
    """

    def __init__(
        self,
        where: str,
        split: str,
        identity: str,
        records: Sequence[Record | None],
        location: Callable[[int], str],
        reasons: Mapping[int, str],
        repeated: frozenset[int],
    ):
        if not len(records):
            raise DataError(f"{where}: no row in it; check data.path")
        self.where, self.identity = where, identity
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
        )

    def _id(self, row: int, record: Record | None) -> str:
        if record is None or record.id is None:
            return f"{self._split}-{row}"
        return f"{record.id}#{row}" if row in self._repeated else record.id

    def _images(self, row: int, record: Record) -> list[LazyImage]:
        location = f"{self.where} {self._location(row)}".rstrip()
        if record.draw is not None:
            return [LazyImage(record.draw, location)]
        return [LazyImage(path.read_bytes, f"{location} ({path.name})", path) for path in record.images]


class RowIndex:
    """What the rows of a file come to while they are read one by one: ids that repeat, and reasons of bad rows."""

    def __init__(self) -> None:
        self.reasons: dict[int, str] = {}
        self.repeated: set[int] = set()
        self._ids: set[int] = set()

    def see(self, row: int, read: Record | DataError) -> Record | None:
        if isinstance(read, DataError):
            self.reasons[row] = str(read)
            return None
        if read.id is not None:
            known = len(self._ids)
            self._ids.add(hash(read.id))
            if len(self._ids) == known:
                self.repeated.add(row)
        return read


def memory_source(
    where: str, split: str, identity: str, rows: Iterable[tuple[str, Record | DataError]]
) -> RecordSource:
    """The source of (place, record or why there is none), held in memory: for formats whose rows are small.

    Raises:
        DataError: no row at all.
    """
    gathered, records, locations = RowIndex(), [], []
    for row, (location, read) in enumerate(rows):
        locations.append(location)
        records.append(gathered.see(row, read))
    return RecordSource(
        where, split, identity, records, locations.__getitem__, gathered.reasons, frozenset(gathered.repeated)
    )


def files_identity(paths: Iterable[Path]) -> str:
    """Changes with the names, sizes and modification times of the files."""
    digest = hashlib.sha256()
    for path in paths:
        known = path.stat()
        digest.update(f"{path} {known.st_size} {known.st_mtime_ns}\n".encode())
    return digest.hexdigest()
