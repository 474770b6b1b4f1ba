"""The rows of a data set a page at a time, with edits and problems; nothing is copied.

Texts and ids are in memory, as every reader holds them; an image is read when it is shown. (100,000 rows of parquet,
2 crowded cores: benchmarks/results/browse-rows_cpu_2026-11-30.json)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock

from texlens.core.errors import DataError
from texlens.data.browse.problems import Badge, Problems
from texlens.data.browse.query import RowQuery, in_order, matching_texts
from texlens.data.edits.edit import NO_EDITS, Edit, EditKind, RowEdits
from texlens.data.edits.log import EditLog
from texlens.data.edits.row_key import RowKeyIndex
from texlens.data.load import Rows
from texlens.data.sample import Sample
from texlens.data.validate.fix import RowPlace

PAGE_ROWS = 50
MAX_PAGE_ROWS = 500
_REMEMBERED_QUERIES = 8


@dataclass(frozen=True)
class BrowsedRow:
    """A row as it is shown. `text` is with the edits, `source_text` without; `size` is () for an unreadable image."""

    split: str
    row: int
    id: str
    text: str
    source_text: str
    edits: RowEdits
    badges: Sequence[Badge]
    size: tuple[int, ...]
    where: str
    prompt: str | None = None
    domain: str | None = None


@dataclass(frozen=True)
class BrowsedPage:
    """Some rows of a query's result; `total` counts all of it."""

    rows: Sequence[BrowsedRow]
    total: int
    first: int


class DataBrowser:
    r"""Rows by split, unedited, beside their edits file.

    Example:
        browser = DataBrowser(open_splits("data/mine"), EditLog(Path("edits.jsonl")))
        browser.page("train", RowQuery(text=r"\frac"), first=50).rows[0].text
    """

    def __init__(self, splits: Mapping[str, Rows], log: EditLog):
        self.splits, self.log = dict(splits), log
        self.problems: Problems | None = None
        """Set once the rows were validated."""
        self._lock = Lock()
        self._texts = {split: rows.texts() for split, rows in self.splits.items()}
        self._ids = {split: rows.ids() for split, rows in self.splits.items()}
        self._keys: dict[str, RowKeyIndex] = {}
        self._edited: tuple[int, dict[RowPlace, RowEdits]] | None = None
        self._query = lru_cache(_REMEMBERED_QUERIES)(self._query_rows)

    def page(self, split: str, query: RowQuery, *, first: int = 0, count: int = PAGE_ROWS) -> BrowsedPage:
        """
        Raises:
            DataError: no such split, or a damaged edits file.
        """
        rows = self.matching(split, query)
        shown = rows[max(0, first) : max(0, first) + min(count, MAX_PAGE_ROWS)]
        return BrowsedPage([self.row((split, row)) for row in shown], len(rows), first)

    def matching(self, split: str, query: RowQuery) -> Sequence[int]:
        """The rows of the query, in its order."""
        self._rows(split)
        edited = self._edits()
        return self._query(split, query, edited[0], id(self.problems))

    def row(self, row_place: RowPlace) -> BrowsedRow:
        """
        Raises:
            DataError: no such row.
        """
        sample = self.sample(row_place)
        split, row = row_place
        state = self._edits()[1].get(row_place, NO_EDITS)
        return BrowsedRow(
            split,
            row,
            sample.id,
            sample.text if state.label is None else state.label,
            sample.text,
            state,
            self.problems.badges(row_place) if self.problems else (),
            _size(sample),
            sample.image.where,
            sample.prompt,
            sample.domain,
        )

    def sample(self, row_place: RowPlace) -> Sample:
        """The row as its source has it.

        Raises:
            DataError: no such row.
        """
        split, row = row_place
        rows = self._rows(split)
        if not 0 <= row < len(rows):
            raise DataError(f"{rows.where} {split}: no row {row}; it has {len(rows):,}")
        return rows[row]

    def beside(self, row_place: RowPlace) -> list[BrowsedRow]:
        """The row with its duplicates and the rows that it leaks into, in order."""
        places = self.problems.beside(row_place) if self.problems else [row_place]
        return [self.row(each) for each in places]

    def edit(
        self, row_place: RowPlace, kind: EditKind, new: str | None, *, who: str, expected: str | None, note: str = ""
    ) -> Edit:
        """Adds an edit of the row to the file. A label that equals the source's own undoes the edits of it.

        Args:
            expected: the row's value of this kind that the person has seen: None where it had none.

        Raises:
            DataError: no such row, a text that can't be stored, or (kind `CONFLICT`) somebody else was first.
        """
        sample = self.sample(row_place)
        if kind == "label" and new == sample.text:
            new = None
        return self.log.append(
            self._key_index(row_place[0]).key(row_place[1]),
            kind,
            new,
            old=sample.text if kind == "label" else None,
            expected=expected,
            who=who,
            note=note,
            split=row_place[0],
            id=sample.id,
        )

    def counts(self, split: str) -> dict[str, int]:
        """Rows of the split, and how many of them are edited, excluded and marked."""
        states = [state for (name, _), state in self._edits()[1].items() if name == split]
        return {
            "rows": len(self._rows(split)),
            "rejected": len(self._rows(split).rejected),
            "edited": sum(state.label is not None for state in states),
            "excluded": sum(state.excluded is not None for state in states),
            "marked": sum(state.mark is not None for state in states),
        }

    def _query_rows(self, split: str, query: RowQuery, version: int, problems: int) -> Sequence[int]:
        states = {row: state for (name, row), state in self._edits()[1].items() if name == split}
        texts = self._texts[split]
        labels = {row: state.label for row, state in states.items() if state.label is not None}
        if labels:
            texts = [labels.get(row, text) for row, text in enumerate(texts)]
        rows = matching_texts(query, texts, self._ids[split])
        if query.problem:
            shown = self._rows_with(split, query.problem)
            rows = [row for row in rows if row in shown]
        if query.edits:
            rows = [row for row in rows if _fits(states.get(row, NO_EDITS), query.edits)]
        return in_order(query, rows, texts)

    def _rows_with(self, split: str, problem: str) -> set[int]:
        if self.problems is None:
            raise DataError("the rows are not checked yet; check them first")
        return set(self.problems.rows(split, None if problem == "any" else problem))

    def _edits(self) -> tuple[int, dict[RowPlace, RowEdits]]:
        """Version of the file, and the edits by row; found again when the file has grown."""
        with self._lock:
            version = self.log.version
            if self._edited is None or self._edited[0] != version:
                states = self.log.rows()
                places = {
                    (split, row): states[key]
                    for split in (self.splits if states else ())
                    for row, key in self._key_index(split).find(states).items()
                }
                self._edited = version, places
            return self._edited

    def _key_index(self, split: str) -> RowKeyIndex:
        if split not in self._keys:
            self._keys[split] = RowKeyIndex(self._rows(split))
        return self._keys[split]

    def _rows(self, split: str) -> Rows:
        if split not in self.splits:
            raise DataError(f"no split {split!r}; there are {', '.join(self.splits)}")
        return self.splits[split]


def _fits(state: RowEdits, edits: str) -> bool:
    return {
        "any": state.is_changed,
        "edited": state.label is not None,
        "excluded": state.excluded is not None,
        "marked": state.mark is not None,
        "untouched": not state.edits,
    }[edits]


def _size(sample: Sample) -> tuple[int, ...]:
    try:
        return sample.image.size
    except DataError:
        return ()
