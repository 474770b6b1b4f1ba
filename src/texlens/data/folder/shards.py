"""Parquet shards of a data set folder: written to a staging name, renamed when complete, brought to one schema."""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from texlens.core.files import naming
from texlens.data.folder.columns import unified, widened

GROUP_ROWS = 1_000
UNENCODED = ("image", "images", "text", "id")
"""Columns whose values hardly repeat: a dictionary would only cost time."""

Shards = dict[str, list[Path]]
"""The files of each split, in order."""


def write_shard(path: Path, table: pa.Table) -> None:
    """Write, flush to disk, rename."""
    staging = path.with_suffix(".partial")
    repeated = [name for name in table.column_names if name not in UNENCODED]
    with naming(path):
        pq.write_table(table, staging, row_group_size=GROUP_ROWS, use_dictionary=repeated, write_statistics=False)
        with staging.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(staging, path)


def name_complete_shards(shards: Mapping[str, Iterable[Path]]) -> Shards:
    """Give all shards the same columns and their final names, such as train-00000-of-00002.parquet."""
    files = {split: list(paths) for split, paths in shards.items()}
    schema = unified([pq.read_schema(path) for paths in files.values() for path in paths])
    return {
        split: [
            _complete(path, f"{split}-{number:05d}-of-{len(paths):05d}", schema) for number, path in enumerate(paths)
        ]
        for split, paths in files.items()
    }


def undo_final_names(folder: Path) -> None:
    """A process killed in `name_complete_shards` has renamed some shards; give those their first names back."""
    for path in folder.glob("*-of-*.parquet"):
        os.replace(path, path.with_name(re.sub(r"-of-\d{5}(?=\.parquet$)", "", path.name)))


def fingerprint_of(shards: Mapping[str, list[Path]]) -> str:
    """SHA-256 of split names and shard contents."""
    digest = hashlib.sha256()
    for split, paths in shards.items():
        for path in paths:
            with path.open("rb") as file:
                digest.update(f"{split} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def _complete(path: Path, name: str, schema: pa.Schema) -> Path:
    if not pq.read_schema(path).equals(schema):
        _widen(path, schema)
    final = path.with_name(f"{name}.parquet")
    os.replace(path, final)
    return final


def _widen(path: Path, schema: pa.Schema) -> None:
    """Add the columns of later shards, one row group at a time."""
    staging = path.with_suffix(".partial")
    shard = pq.ParquetFile(path)
    with pq.ParquetWriter(staging, schema, use_dictionary=False, write_statistics=False) as writer:
        for group in range(shard.num_row_groups):
            writer.write_table(widened(shard.read_row_group(group), schema))
    os.replace(staging, path)
