"""The data set folder: what every `texlens data` command writes, and `datasets.load_dataset(DIR)` reads.

    DIR/data/train-00000-of-00002.parquet    the rows; one column an attribute of `Sample`, those in use
    DIR/README.md                            which files make up which split, as the hubs read it
    DIR/texlens-data.json                    the account: where rows came from, rows in = kept + rejected + merged
    DIR/rejected.jsonl                        each row left out, with its place and reason (where there are any)

A folder is written aside, shard by shard, and renamed when it is whole. After a kill the whole shards are taken up
again. How a sample becomes columns is in `columns.py`.
"""

import hashlib
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from texlens.core.errors import DataError
from texlens.core.files import naming, swap_in, write_json, write_text
from texlens.data.columns import Columns, extra_kinds, unified, widened
from texlens.data.load import Rows, load_split
from texlens.data.readers.registry import list_splits
from texlens.data.sample import RejectedRow, Sample

STATISTICS = "texlens-data.json"
REJECTED = "rejected.jsonl"
JOURNAL = "journal"
VERSION = 1
SHARD_BYTES = 64 << 20
SHARD_ROWS = 10_000
GROUP_ROWS = 1_000
SPLIT_NAME = re.compile(r"^\w+(\.\w+)*$")


@dataclass
class SplitStats:
    """What became of the rows offered to a split: rows_in = kept + rejected + merged."""

    rows_in: int = 0
    kept: int = 0
    rejected: int = 0
    merged: int = 0


class FolderWriter:
    """Writes a data set folder, streaming: at most one shard a split is held in memory.

    Every row of the source is offered once, in an order that is the same in each run: by `add`, `reject` or `merge`.

    Example:
        with FolderWriter(folder, made_by={"command": "synth", "seed": 0}, resume=True) as writer:
            for number in range(writer.resumed("train"), 100_000):
                writer.add("train", make_sample(number))
        writer.account -> {"rows_in": 100000, "kept": 100000, "rejected": 0, "merged": 0, "splits": {…}, …}

    Rows that come from a source, where skipping is cheap:
            for sample in rows:
                if not writer.skip("train"):
                    writer.add("train", sample)

    Args:
        folder: where it will stand. One that is there must be a data set folder, and is replaced only with `overwrite`.
        made_by: everything that the rows depend on (command, options, the source's identity); it goes into the account,
            and a partial folder is resumed only where it is the same.
        resume: take up the whole shards that a killed run of the same `made_by` left.

    Raises:
        DataError: the folder holds something else; on leaving the block: no row was kept.
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
        self._made_by = json.loads(json.dumps(dict(made_by), default=str))
        self._resume, self._overwrite = resume, overwrite
        self._shard_bytes, self._shard_rows = shard_bytes, shard_rows
        self._staging = self.folder.with_name(f".{self.folder.name}.partial")
        self._splits: dict[str, _Split] = {}
        self._kinds: dict[str, type] = {}
        self._entries = 0

    def __enter__(self) -> "FolderWriter":
        _check_destination(self.folder, self._overwrite)
        mine = _read_json(self._staging / "made_by.json") == self._made_by
        if not (self._resume and mine):
            shutil.rmtree(self._staging, ignore_errors=True)
        (self._staging / "data").mkdir(parents=True, exist_ok=True)
        write_json(self._staging / "made_by.json", self._made_by)
        self._resume_shards()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """An error leaves the whole shards aside for the next run."""
        if kind is None:
            self._finish()

    def add(self, split: str, sample: Sample) -> None:
        """Write a row; its images are read now, their bytes kept as they are.

        Raises:
            DataError: an image can't be read, or the split has a row of this id; nothing is written then, and the row
                may be offered again (to `reject`, say).
        """
        target = self._split(split)
        size = target.columns.add(sample)
        target.count("kept")
        target.bytes += size
        if target.bytes >= self._shard_bytes or len(target.columns) >= self._shard_rows:
            self._flush(split)

    def reject(self, split: str, rejected_row: RejectedRow) -> None:
        """Account for a row that is left out."""
        target = self._split(split)
        target.count("rejected")
        target.rejected.append(rejected_row)

    def merge(self, split: str, rows: int = 1) -> None:
        """Account for rows that became part of another one."""
        self._split(split).count("merged", rows)

    def skip(self, split: str) -> bool:
        """Whether the split's next row was dealt with before the kill; to be asked once a row, before it is made."""
        target = self._split(split)
        if target.skipped >= target.resumed:
            return False
        target.skipped += 1
        return True

    def resumed(self, split: str) -> int:
        """Rows of the split that were dealt with before the kill."""
        return self._split(split).resumed

    def _split(self, name: str) -> "_Split":
        if name not in self._splits:
            if not SPLIT_NAME.match(name):
                raise DataError(f"split {name!r}: a name has letters, digits, _ and single dots; rename it")
            self._splits[name] = _Split(Columns(f"split {name}", self._kinds))
        return self._splits[name]

    def _flush(self, name: str) -> None:
        """The shard first, then its journal entry: a shard without one is written again."""
        split = self._splits[name]
        shard = None
        if len(split.columns):
            shard = f"{name}-{len(split.shards):05d}.parquet"
            _write_shard(self._staging / "data" / shard, split.columns.table())
            split.shards.append(shard)
        self._entries += 1
        entry = {
            "split": name,
            "shard": shard,
            "counts": asdict(split.fresh),
            "rejected": [rejected_row.to_json() for rejected_row in split.rejected],
        }
        write_json(self._staging / JOURNAL / f"{self._entries:06d}.json", entry)
        split.columns.clear()
        split.bytes, split.fresh, split.rejected = 0, SplitStats(), []

    def _resume_shards(self) -> None:
        _undo_final_names(self._staging / "data")
        known = set()
        for path in sorted((self._staging / JOURNAL).glob("*.json")):
            entry = json.loads(path.read_text(encoding="utf-8"))
            split = self._split(entry["split"])
            for what, rows in entry["counts"].items():
                setattr(split.total, what, getattr(split.total, what) + rows)
            split.resumed = split.total.rows_in
            if entry["shard"]:
                split.shards.append(entry["shard"])
                known.add(entry["shard"])
                shard = pq.ParquetFile(self._staging / "data" / entry["shard"])
                self._kinds |= extra_kinds(shard.schema_arrow)
                split.columns.know(shard.read(["id"]).column("id").to_pylist())
            self._entries = int(path.stem)
        for path in (self._staging / "data").iterdir():
            if path.name not in known:
                path.unlink()

    def _finish(self) -> None:
        for name, split in self._splits.items():
            if split.fresh.rows_in:
                self._flush(name)
        kept = [name for name, split in self._splits.items() if split.total.kept]
        if not kept:
            first = next(_journaled_rejections(self._staging), None)
            shutil.rmtree(self._staging, ignore_errors=True)
            reason = f"; the first: {first['where']}: {first['reason']}" if first else ": the source is empty"
            raise DataError(f"{self.folder}: no row could be kept{reason}")
        shards = self._named_whole(kept)
        self.statistics = self._write_statistics(shards)
        write_text(self._staging / "README.md", _readme(kept))
        shutil.rmtree(self._staging / JOURNAL)
        (self._staging / "made_by.json").unlink()
        swap_in(self._staging, self.folder)

    def _named_whole(self, kept: Iterable[str]) -> dict[str, list[Path]]:
        """Shards of each split under their final names, all with the same columns."""
        files = {name: [self._staging / "data" / shard for shard in self._splits[name].shards] for name in kept}
        schema = unified([pq.read_schema(path) for paths in files.values() for path in paths])
        named: dict[str, list[Path]] = {}
        for name, paths in files.items():
            named[name] = []
            for number, path in enumerate(paths):
                final = path.with_name(f"{name}-{number:05d}-of-{len(paths):05d}.parquet")
                if not pq.read_schema(path).equals(schema):
                    _widen_shard(path, schema)
                os.replace(path, final)
                named[name].append(final)
        return named

    def _write_statistics(self, shards: Mapping[str, list[Path]]) -> dict[str, Any]:
        splits = {name: asdict(split.total) for name, split in self._splits.items()}
        kinds: Counter[str] = Counter()
        with (self._staging / REJECTED).open("w", encoding="utf-8") as file:
            for rejected_row in _journaled_rejections(self._staging):
                kinds[rejected_row["kind"]] += 1
                file.write(json.dumps(rejected_row, ensure_ascii=False) + "\n")
        if not kinds:
            (self._staging / REJECTED).unlink()
        statistics = {
            "version": VERSION,
            "made_by": self._made_by,
            **{what: sum(split[what] for split in splits.values()) for what in asdict(SplitStats())},
            "rejected_by_kind": dict(kinds),
            "splits": splits,
            "fingerprint": _fingerprint(shards),
        }
        write_json(self._staging / STATISTICS, statistics)
        return statistics


@dataclass
class _Split:
    """A split in the making: `fresh` counts what no journal entry holds yet."""

    columns: Columns
    bytes: int = 0
    shards: list[str] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)
    fresh: SplitStats = field(default_factory=SplitStats)
    total: SplitStats = field(default_factory=SplitStats)
    resumed: int = 0
    skipped: int = 0

    def count(self, what: str, rows: int = 1) -> None:
        for statistics in (self.fresh, self.total):
            statistics.rows_in += rows
            setattr(statistics, what, getattr(statistics, what) + rows)


def read_folder(folder: str | Path) -> dict[str, Rows]:
    """The rows of each split of a data set folder, lazily.

    Raises:
        DataError: no data set there.
    """
    return {split: load_split(str(folder), split=split) for split in list_splits(str(folder))}


def read_statistics(folder: str | Path) -> dict[str, Any] | None:
    """What `FolderWriter.account` was; None where the folder is no data set folder of ours."""
    statistics = _read_json(Path(folder) / STATISTICS)
    return _with_current_names(statistics) if isinstance(statistics, dict) else None


def _with_current_names(statistics: dict[str, Any]) -> dict[str, Any]:
    """Folders written by version 0.1 say `refused` for rejected rows."""
    names = {"refused": "rejected", "refused_by_kind": "rejected_by_kind"}
    splits = {
        split: {names.get(name, name): rows for name, rows in counts.items()}
        for split, counts in statistics.get("splits", {}).items()
    }
    return {names.get(name, name): value for name, value in statistics.items()} | {"splits": splits}


def finished(folder: str | Path, made_by: Mapping[str, Any]) -> dict[str, Any] | None:
    """Statistics of the folder if it was made with exactly these options and sources, else None."""
    statistics = read_statistics(folder)
    same = statistics is not None and statistics["made_by"] == json.loads(json.dumps(dict(made_by), default=str))
    return statistics if same else None


def _check_destination(folder: Path, overwrite: bool) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if read_statistics(folder) is None:
        raise DataError(f"{folder}: holds something else than a data set of texlens; name a new folder with -o")
    if not overwrite:
        raise DataError(f"{folder}: holds another data set; name a new folder with -o, or add --overwrite")


def _write_shard(path: Path, table: pa.Table) -> None:
    staging = path.with_suffix(".partial")
    plain = [name for name in table.column_names if name not in ("image", "images", "text", "id")]
    with naming(path):
        pq.write_table(table, staging, row_group_size=GROUP_ROWS, use_dictionary=plain, write_statistics=False)
        with staging.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(staging, path)


def _undo_final_names(folder: Path) -> None:
    """A run killed while it gave shards their final names had given them to some."""
    for path in folder.glob("*-of-*.parquet"):
        os.replace(path, path.with_name(re.sub(r"-of-\d{5}(?=\.parquet$)", "", path.name)))


def _widen_shard(path: Path, schema: pa.Schema) -> None:
    """The shard with the columns of later ones added, a row group at a time."""
    staging = path.with_suffix(".partial")
    shard = pq.ParquetFile(path)
    with pq.ParquetWriter(staging, schema, use_dictionary=False, write_statistics=False) as writer:
        for group in range(shard.num_row_groups):
            writer.write_table(widened(shard.read_row_group(group), schema))
    os.replace(staging, path)


def _journaled_rejections(staging: Path) -> Iterator[dict[str, str]]:
    for path in sorted((staging / JOURNAL).glob("*.json")):
        entry = json.loads(path.read_text(encoding="utf-8"))
        for rejected_row in entry["rejected"]:
            yield {"split": entry["split"], **rejected_row}


def _fingerprint(shards: Mapping[str, list[Path]]) -> str:
    """Of the rows: split names and the shards' contents."""
    digest = hashlib.sha256()
    for name, paths in shards.items():
        for path in paths:
            with path.open("rb") as file:
                digest.update(f"{name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def _readme(splits: Iterable[str]) -> str:
    files = "".join(f"  - split: {name}\n    path: data/{name}-*.parquet\n" for name in splits)
    return (
        f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n\n"
        f"Images with their texts, written by TexLens; `{STATISTICS}` says where each row came from.\n"
    )


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
