"""The edits file: JSON lines, only ever appended to; its version is the number of its last edit.

    {"format": "texlens-edits", "version": 1}
    {"number": 1, "when": "2026-11-30T17:05:11+00:00", "who": "anna", "row": "…", "kind": "label", "old": "x", "new": …}

Each edit is on the disk before `append` returns. A last line that a kill cut short was never confirmed: it is left out,
and removed by the next edit. Processes take turns by a lock on the file.
"""

import json
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import EllipsisType
from typing import IO

from texlens.core.errors import DataError
from texlens.core.files import naming
from texlens.core.locks import wait_for_lock
from texlens.core.regular_files import open_regular
from texlens.data.edits.edit import NO_EDITS, Edit, EditKind, RowEdits, check_text, edit_of_line, rows_of

HEADER = {"format": "texlens-edits", "version": 1}
CONFLICT = "edit conflict"
"""`DataError.kind`: the row was changed by somebody else in the meantime."""


class EditLog:
    """An edits file, for any number of threads; a file that does not exist yet has no edits.

    Example:
        log = EditLog(Path("edits.jsonl"))
        log.append(row, "label", "x_2", old="x_z", who="anna")
        log.rows()[row].label -> "x_2"
    """

    def __init__(self, path: Path):
        self.path = path
        self._edits: list[Edit] = []
        self._read_bytes = 0
        self._lock = threading.Lock()

    def edits(self) -> list[Edit]:
        """All complete edits, the oldest first; only what was appended since the last call is read.

        Raises:
            DataError: not an edits file, or a damaged line.
        """
        with self._lock:
            try:
                file = open_regular(self.path)
            except FileNotFoundError:
                self._edits, self._read_bytes = [], 0
                return []
            with file:
                self._read(file)
            return list(self._edits)

    def rows(self, version: int | None = None) -> dict[str, RowEdits]:
        """What the edits come to, by row; with `version` those up to this number.

        Raises:
            DataError: as `edits`, or no such version.
        """
        edits = self.edits()
        if version is not None and not 0 <= version <= len(edits):
            raise DataError(f"{self.path}: no version {version}; the last is {len(edits)}")
        return rows_of(edits[:version])

    def row(self, row: str) -> RowEdits:
        """What the edits of one row come to, which is far less work than `rows`.

        Raises:
            DataError: as `edits`.
        """
        return _of_row(self.edits(), row)

    @property
    def version(self) -> int:
        return len(self.edits())

    def append(
        self,
        row: str,
        kind: EditKind,
        new: str | None,
        *,
        who: str,
        old: str | None = None,
        expected: str | EllipsisType | None = ...,
        note: str = "",
        split: str = "",
        id: str = "",
    ) -> Edit:
        """Adds an edit; it is on the disk when this returns.

        Args:
            old: what the row shows before, where it has no edit of this kind yet: the source's label, say.
            expected: the row's value of this kind that the caller has seen (None: no edit); another one is a conflict.
                By default any value is replaced.

        Raises:
            DataError: a text that can't be stored; of kind `CONFLICT`: the row has another value by now.
        """
        for what, text in (("new", new), ("note", note), ("who", who)):
            check_text(text, what)
        with self._locked() as file:
            self._read(file)
            value = _of_row(self._edits, row).value(kind)
            if expected is not ... and value != expected:
                message = f"{self.path}: the row was changed to {value!r} in the meantime; look at it again"
                raise DataError(message, CONFLICT)
            edit = Edit(
                number=len(self._edits) + 1,
                when=datetime.now(UTC).isoformat(timespec="seconds"),
                who=who,
                row=row,
                kind=kind,
                old=old if value is None else value,
                new=new,
                note=note,
                split=split,
                id=id,
            )
            self._write(file, edit)
        return edit

    def _write(self, file: IO[bytes], edit: Edit) -> None:
        """After the last complete line; what a kill left behind it is removed."""
        file.truncate(self._read_bytes)
        file.seek(self._read_bytes)
        lines = ([] if self._read_bytes else [json.dumps(HEADER)]) + [edit.to_line()]
        data = "".join(f"{line}\n" for line in lines).encode()
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        self._edits.append(edit)
        self._read_bytes += len(data)

    def _read(self, file: IO[bytes]) -> None:
        """The complete lines after those that are known; a file that became shorter is read from its beginning."""
        if os.fstat(file.fileno()).st_size < self._read_bytes:
            self._edits, self._read_bytes = [], 0
        file.seek(self._read_bytes)
        for line in file:
            if not line.endswith(b"\n"):
                return
            self._see(line)
            self._read_bytes += len(line)

    def _see(self, line: bytes) -> None:
        number = len(self._edits) + (self._read_bytes > 0) + 1
        where = f"{self.path} line {number}"
        try:
            text = line.decode()
        except UnicodeDecodeError:
            raise DataError(f"{where}: not UTF-8; restore the file") from None
        if not self._read_bytes:
            _check_header(text, self.path)
            return
        edit = edit_of_line(text, where)
        if edit.number != len(self._edits) + 1:
            raise DataError(f"{where}: edit {edit.number} follows edit {len(self._edits)}; restore the file")
        self._edits.append(edit)

    @contextmanager
    def _locked(self) -> Iterator[IO[bytes]]:
        with self._lock, naming(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as file:
                wait_for_lock(file)
                yield file


def _of_row(edits: Iterable[Edit], row: str) -> RowEdits:
    return rows_of(edit for edit in edits if edit.row == row).get(row, NO_EDITS)


def _check_header(text: str, path: Path) -> None:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or header.get("format") != HEADER["format"]:
        raise DataError(f"{path}: not a file of edits (its first line says no such format); name another file")
    if header.get("version") != HEADER["version"]:
        raise DataError(f"{path}: edits of version {header.get('version')!r}, which is not known; upgrade texlens")
