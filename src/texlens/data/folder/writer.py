"""Writes a data set folder, streaming.

    DIR/data/train-00000-of-00002.parquet    the rows; one column for each attribute of `Sample` in use
    DIR/README.md                            which files make up which split, as the hubs read it
    DIR/texlens-data.json                    statistics: where rows came from, rows in = kept + rejected + merged
    DIR/rejected.jsonl                       each row left out, with location and reason (where there are any)

Shards are written to a staging folder, which is renamed when it is complete. After a crash the complete shards are
reused. `columns.py` turns samples into columns.
"""

import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from texlens.core.errors import DataError
from texlens.core.files import swap_in, write_json, write_text
from texlens.core.locks import exclusive
from texlens.data.folder.columns import SampleColumns, extra_kinds
from texlens.data.folder.shards import Shards, fingerprint_of, name_complete_shards, undo_final_names, write_shard
from texlens.data.folder.statistics import (
    STATISTICS,
    Counts,
    as_json,
    count,
    new_counts,
    read_json,
    read_statistics,
    write_statistics,
)
from texlens.data.load import Rows, load_split
from texlens.data.readers.registry import list_splits
from texlens.data.sample import RejectedRow, Sample

JOURNAL = "journal"
SHARD_BYTES = 64 << 20
SHARD_ROWS = 10_000
SPLIT_NAME = re.compile(r"^\w+(\.\w+)*$")


class FolderWriter:
    """Writes a data set folder; at most one shard per split is in memory.

    Every row of the source is passed once, in the same order in each run: to `add`, `reject` or `merge`.

    Example:
        with FolderWriter(folder, made_by={"command": "synth", "seed": 0}, resume=True) as writer:
            for number in range(writer.resumed("train"), 100_000):
                writer.add("train", make_sample(number))
        writer.statistics -> {"rows_in": 100000, "kept": 100000, "rejected": 0, "merged": 0, "splits": {…}, …}

    Rows of a source, where skipping is cheap:
            for sample in rows:
                if not writer.skip("train"):
                    writer.add("train", sample)

    Args:
        folder: the destination. An existing one must be a data set folder, and is replaced only with `overwrite`.
        made_by: everything that the rows depend on (command, options, the source's fingerprint). It goes into the
            statistics, and a partial folder is resumed only if it is the same.
        resume: reuse the complete shards that a killed run of the same `made_by` left.

    Raises:
        DataError: the folder holds something else, or another process is writing it; at the end of the block: no row
            was kept.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        made_by: Mapping[str, Any],
        resume: bool = False,
        overwrite: bool = False,
        shard_bytes: int = SHARD_BYTES,
        shard_rows: int = SHARD_ROWS,
    ):
        self.folder = Path(folder).absolute()
        self.statistics: dict[str, Any] = {}
        self._made_by = as_json(made_by)
        self._resume, self._overwrite = resume, overwrite
        self._shard_bytes, self._shard_rows = shard_bytes, shard_rows
        self._staging = self.folder.with_name(f".{self.folder.name}.partial")
        self._splits: dict[str, _Split] = {}
        self._kinds: dict[str, type] = {}
        self._entries = 0
        self._held = ExitStack()

    def __enter__(self) -> "FolderWriter":
        self._held.enter_context(lock_folder(self.folder))
        try:
            self._prepare()
        except BaseException:
            self._held.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """After an error the complete shards stay in the staging folder for the next run."""
        with self._held:
            if kind is None:
                self._finish()

    def add(self, split: str, sample: Sample) -> None:
        """Write a row; its images are read now, and their bytes are kept as they are.

        Raises:
            DataError: an image can't be read, or the split has a row of this id. Nothing is written then, and the row
                may be passed again (to `reject`, say).
        """
        target = self._split(split)
        size = target.columns.add(sample)
        target.count("kept")
        target.bytes += size
        if target.bytes >= self._shard_bytes or len(target.columns) >= self._shard_rows:
            self._flush(split)

    def reject(self, split: str, row: RejectedRow) -> None:
        """Record a row that is left out."""
        target = self._split(split)
        target.count("rejected")
        target.rejected.append(row.to_json())

    def merge(self, split: str, rows: int = 1) -> None:
        """Record rows that became part of another one."""
        self._split(split).count("merged", rows)

    def skip(self, split: str) -> bool:
        """Whether the split's next row was handled before the crash; call it once a row, before the row is made."""
        target = self._split(split)
        if target.skipped >= target.resumed:
            return False
        target.skipped += 1
        return True

    def resumed(self, split: str) -> int:
        """The number of the split's rows that were handled before the crash."""
        return self._split(split).resumed

    def _split(self, name: str) -> "_Split":
        if name not in self._splits:
            if not SPLIT_NAME.match(name):
                raise DataError(f"split {name!r}: a name has letters, digits, _ and single dots; rename it")
            self._splits[name] = _Split(SampleColumns(f"split {name}", self._kinds))
        return self._splits[name]

    def _prepare(self) -> None:
        _check_destination(self.folder, self._overwrite)
        is_same = read_json(self._staging / "made_by.json") == self._made_by
        if not (self._resume and is_same):
            shutil.rmtree(self._staging, ignore_errors=True)
        (self._staging / "data").mkdir(parents=True, exist_ok=True)
        write_json(self._staging / "made_by.json", self._made_by)
        self._resume_shards()

    def _flush(self, name: str) -> None:
        """Write the shard first, then its journal entry: a shard without one is written again."""
        split = self._splits[name]
        shard = None
        if len(split.columns):
            shard = f"{name}-{len(split.shards):05d}.parquet"
            write_shard(self._staging / "data" / shard, split.columns.table())
            split.shards.append(shard)
        self._entries += 1
        entry = {"split": name, "shard": shard, "counts": split.unsaved, "rejected": split.rejected}
        write_json(self._staging / JOURNAL / f"{self._entries:06d}.json", entry)
        split.columns.clear()
        split.bytes, split.unsaved, split.rejected = 0, new_counts(), []

    def _resume_shards(self) -> None:
        undo_final_names(self._staging / "data")
        known = set()
        for number, entry in _journal(self._staging):
            split = self._split(entry["split"])
            for name, rows in entry["counts"].items():
                split.total[name] += rows
            split.resumed = split.total["rows_in"]
            if entry["shard"]:
                split.shards.append(entry["shard"])
                known.add(entry["shard"])
                shard = pq.ParquetFile(self._staging / "data" / entry["shard"])
                self._kinds |= extra_kinds(shard.schema_arrow)
                split.columns.know(shard.read(["id"]).column("id").to_pylist())
            self._entries = number
        for path in (self._staging / "data").iterdir():
            if path.name not in known:
                path.unlink()

    def _finish(self) -> None:
        for name, split in self._splits.items():
            if split.unsaved["rows_in"]:
                self._flush(name)
        names = [name for name, split in self._splits.items() if split.total["kept"]]
        if not names:
            self._fail_empty()
        shards = self._complete_shards(names)
        self.statistics = write_statistics(
            self._staging,
            self._made_by,
            {name: split.total for name, split in self._splits.items()},
            _journaled_rejections(self._staging),
            fingerprint_of(shards),
        )
        write_text(self._staging / "README.md", _readme(names))
        shutil.rmtree(self._staging / JOURNAL)
        (self._staging / "made_by.json").unlink()
        swap_in(self._staging, self.folder)

    def _fail_empty(self) -> None:
        first = next(_journaled_rejections(self._staging), None)
        shutil.rmtree(self._staging, ignore_errors=True)
        reason = f"; the first: {first['where']}: {first['reason']}" if first else ": the source is empty"
        raise DataError(f"{self.folder}: no row could be kept{reason}")

    def _complete_shards(self, names: Iterable[str]) -> Shards:
        return name_complete_shards(
            {name: [self._staging / "data" / shard for shard in self._splits[name].shards] for name in names}
        )


@dataclass
class _Split:
    """A split being written; `unsaved` counts rows that no journal entry holds yet."""

    columns: SampleColumns
    bytes: int = 0
    shards: list[str] = field(default_factory=list)
    rejected: list[dict[str, str]] = field(default_factory=list)
    unsaved: Counts = field(default_factory=new_counts)
    total: Counts = field(default_factory=new_counts)
    resumed: int = 0
    skipped: int = 0

    def count(self, outcome: str, rows: int = 1) -> None:
        count(self.unsaved, outcome, rows)
        count(self.total, outcome, rows)


def read_folder(folder: str | Path) -> dict[str, Rows]:
    """The rows of each split of a data set folder, lazily.

    Raises:
        DataError: not a data set.
    """
    return {split: load_split(str(folder), split=split) for split in list_splits(str(folder))}


def lock_folder(folder: Path):
    """A context that keeps other processes from writing the same folder.

    Raises:
        DataError: another process is writing it.
    """

    def busy(process: str) -> DataError:
        return DataError(f"{folder}: process {process} is writing it; wait for it, or name another folder with -o")

    return exclusive(folder.with_name(f".{folder.name}.lock"), busy)


def _check_destination(folder: Path, overwrite: bool) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if read_statistics(folder) is None:
        raise DataError(f"{folder}: holds something other than a data set of TexLens; name a new folder with -o")
    if not overwrite:
        raise DataError(
            f"{folder}: holds a data set of other options or an older source; add --overwrite, or name another -o"
        )


def _journal(staging: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for path in sorted((staging / JOURNAL).glob("*.json")):
        yield int(path.stem), json.loads(path.read_text(encoding="utf-8"))


def _journaled_rejections(staging: Path) -> Iterator[dict[str, str]]:
    for _, entry in _journal(staging):
        for row in entry["rejected"]:
            yield {"split": entry["split"], **row}


def _readme(splits: Iterable[str]) -> str:
    files = "".join(f"  - split: {name}\n    path: data/{name}-*.parquet\n" for name in splits)
    return (
        f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n\n"
        f"Images with their texts, written by TexLens; `{STATISTICS}` says where each row came from.\n"
    )
