"""A source as its edits leave it: labels replaced, excluded rows among the rejected ones with who excluded them.

With a label go the row's questions of tasks, which were made of the former one.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from texlens.core.errors import DataError
from texlens.core.notes import print_note
from texlens.data.edits.edit import NO_EDITS, RowEdits
from texlens.data.edits.log import EditLog
from texlens.data.edits.row_key import RowKeyIndex
from texlens.data.readers.protocol import Source
from texlens.data.sample import RejectedRow, Sample

EXCLUDED = "excluded"
"""`RejectedRow.kind` of rows that an edit excludes."""
_VERSION = re.compile(r"^(?P<path>.+)@(?P<version>\d+)$")


class EditedSource:
    """A `Source` of the same rows, numbered as before."""

    def __init__(self, source: Source, edits: Mapping[str, RowEdits]):
        self.where = source.where
        self._source = source
        self._rows = _UsableRows(source)
        self._edits = {self._rows.numbers[row]: edits[key] for row, key in RowKeyIndex(self._rows).find(edits).items()}
        matched = {state.edits[-1].row for state in self._edits.values()}
        self.unmatched = [state for key, state in edits.items() if state.is_changed and key not in matched]
        """Edits of rows that are not here: of another split, or changed in the source since."""

    @cached_property
    def ignored(self) -> dict[str, int]:
        return dict(getattr(self._source, "ignored", {}))

    @cached_property
    def rejected(self) -> dict[int, RejectedRow]:
        excluded = {row: self._excluded(row) for row, state in self._edits.items() if state.excluded is not None}
        return {**self._source.rejected, **excluded}

    def __len__(self) -> int:
        return len(self._source)

    def id(self, row: int) -> str:
        return self._source.id(row)

    def text(self, row: int) -> str:
        label = self._edits.get(row, NO_EDITS).label
        return self._source.text(row) if label is None else label

    def sample(self, row: int) -> Sample:
        if row in self._edits and row in self.rejected:
            raise DataError(str(self.rejected[row]))
        sample = self._source.sample(row)
        label = self._edits.get(row, NO_EDITS).label
        if label is None:
            return sample
        questions = tuple(each for each in sample.more_questions if each.task is None)
        return replace(sample, text=label, more_questions=questions)

    def _excluded(self, row: int) -> RejectedRow:
        state = self._edits[row]
        edit = next(edit for edit in reversed(state.edits) if edit.kind == "exclude")
        reason = f"excluded by {edit.who} on {edit.when[:10]}" + (f": {edit.new}" if edit.new else "")
        sample = self._source.sample(row)
        return RejectedRow.from_error(sample, DataError(reason), EXCLUDED)


class _UsableRows:
    """The rows that the source does not reject, as `RowKeyIndex` wants them."""

    def __init__(self, source: Source):
        self._source = source
        self.numbers = [row for row in range(len(source)) if row not in source.rejected]

    def __len__(self) -> int:
        return len(self.numbers)

    def text(self, index: int, /) -> str:
        return self._source.text(self.numbers[index])

    def __getitem__(self, index: int, /) -> Sample:
        return self._source.sample(self.numbers[index])


def edited(source: Source, split: str, edits: str) -> Source:
    """The source with the edits of a file, `edits.jsonl` or one of its versions, `edits.jsonl@17`.

    Edits that were made in this split and match no row of it are counted in a note.

    Raises:
        DataError: no such file or version, or a damaged one.
    """
    path, version = edits_file(edits)
    if not path.is_file():
        raise DataError(f"{path}: no such file of edits; check data.edits")
    result = EditedSource(source, EditLog(path).rows(version))
    lost = sum(state.edits[-1].split == split for state in result.unmatched)
    if lost:
        rows = "1 edit matches" if lost == 1 else f"edits of {lost:,} rows match"
        print_note(f"{path}: {rows} no row of {source.where} {split} any more; its labels or images have changed since")
    return result


def edits_file(name: str) -> tuple[Path, int | None]:
    """
    Example:
        "a/edits.jsonl@17" -> (a/edits.jsonl, 17);  "a/edits.jsonl" -> (a/edits.jsonl, None)
    """
    if not Path(name).exists() and (match := _VERSION.match(name)):
        return Path(match["path"]).expanduser(), int(match["version"])
    return Path(name).expanduser(), None


def pinned(name: str) -> str:
    """The same edits with their version, so that a run that is resumed reads the rows that it began with.

    Raises:
        DataError: a damaged file.
    """
    path, version = edits_file(name)
    return name if version is not None or not path.is_file() else f"{name}@{EditLog(path).version}"
