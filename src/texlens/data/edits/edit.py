"""The `Edit`, a line of an edits file, and what all edits of a row come to."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from texlens.core.errors import DataError

EditKind = Literal["label", "exclude", "mark"]
KINDS: tuple[EditKind, ...] = get_args(EditKind)
_MAX_CHARACTERS = 100_000


@dataclass(frozen=True)
class Edit:
    """One change of one row.

    `old` and `new` are the label (`label`), the reason (`exclude`) or the word (`mark`) before and after. None in `new`
    undoes: the source's own label, a row that is used, a row without a mark.

    Attributes:
        number: version of the file after this edit; the first is 1.
        when: ISO 8601, UTC.
        row: by its content, see `row_key.RowKeyIndex`.
        split, id: where the row was then; for people, nothing is found by it.
    """

    number: int
    when: str
    who: str
    row: str
    kind: EditKind
    old: str | None
    new: str | None
    note: str = ""
    split: str = ""
    id: str = ""

    def to_line(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)


@dataclass(frozen=True)
class RowEdits:
    """What the edits of a row come to; None where there is nothing of the kind.

    Attributes:
        label: the text that replaces the row's own.
        excluded: why the row is left out.
        edits: all of them, the oldest first.
    """

    label: str | None = None
    excluded: str | None = None
    mark: str | None = None
    edits: tuple[Edit, ...] = field(default=())

    def value(self, kind: EditKind) -> str | None:
        return {"label": self.label, "exclude": self.excluded, "mark": self.mark}[kind]

    @property
    def is_changed(self) -> bool:
        """Whether anything is in effect."""
        return (self.label, self.excluded, self.mark) != (None, None, None)


NO_EDITS = RowEdits()


def edit_of_line(line: str, where: str) -> Edit:
    """
    Raises:
        DataError: the line is no edit; `where` names it.
    """
    try:
        values = json.loads(line)
        edit = Edit(**values)
    except (ValueError, TypeError, RecursionError) as error:
        raise DataError(f"{where}: not an edit ({error}); restore the file or remove the line") from None
    if edit.kind not in KINDS or not _fits(values):
        raise DataError(f"{where}: not an edit of this version; restore the file or upgrade texlens")
    return edit


def rows_of(edits: Iterable[Edit]) -> dict[str, RowEdits]:
    """The edits by row, as they are in effect after the last one.

    Example:
        label "x" -> "y", then label "y" -> None: RowEdits(label=None, edits=(…, …))
    """
    rows: dict[str, RowEdits] = {}
    for edit in edits:
        before = rows.get(edit.row, NO_EDITS)
        values = {"label": before.label, "excluded": before.excluded, "mark": before.mark}
        values["excluded" if edit.kind == "exclude" else edit.kind] = edit.new
        rows[edit.row] = RowEdits(**values, edits=(*before.edits, edit))
    return rows


def check_text(text: str | None, what: str) -> None:
    """
    Raises:
        DataError: too long, or half of a surrogate pair, which no file of UTF-8 can hold.
    """
    if text is None:
        return
    if len(text) > _MAX_CHARACTERS:
        raise DataError(f"{what}: {len(text):,} characters; at most {_MAX_CHARACTERS:,} fit, shorten it")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{what}: character {error.start} is half of a surrogate pair; correct it") from None


def _fits(values: Mapping[str, Any]) -> bool:
    texts = ("when", "who", "row", "kind", "note", "split", "id")
    return (
        isinstance(values["number"], int)
        and all(isinstance(values.get(name, ""), str) for name in texts)
        and all(values[name] is None or isinstance(values[name], str) for name in ("old", "new"))
    )
