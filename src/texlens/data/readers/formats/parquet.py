"""Parquet files, a folder of them in the hubs' layout or one alone.

Texts are read on opening, images with the first image: up to `MAX_IN_MEMORY_BYTES` of a split into memory (0.8 s for
100,000 rows of 2.4 KB), more through the memory-mapped arrow copy in the cache of `datasets`. Random access costs 3 µs
a row either way. Reading single row groups on demand costs 0.9 ms a row in groups of 1,000, and the whole file where it
has one group. (2 cores, Nov 2026, pyarrow 26)
"""

import errno
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from texlens.core.errors import DataError, one_line
from texlens.data.readers.formats.parquet_probe import check_survives
from texlens.data.readers.formats.turn_columns import with_turn_columns
from texlens.data.readers.location import DEMO
from texlens.data.readers.protocol import DataFormat, ReadOptions
from texlens.data.readers.rows.layout import parquet_splits
from texlens.data.readers.rows.table import TableSource, check_columns

MAX_IN_MEMORY_BYTES = 1 << 30


def open_parquet(path: Path, split: str, options: ReadOptions) -> TableSource:
    """
    Raises:
        DataError: a damaged file, or one without the columns.
    """
    files = parquet_splits(path, options.subset, allow_outside=options.allow_outside)[split]
    if path != DEMO:
        for file in files:
            check_survives(file)
    opened = [_open(file) for file in files]
    for file, parquet in zip(files, opened, strict=True):
        image, text = check_columns(parquet.schema_arrow, options.image_column, options.text_column, str(file))
        options = replace(options, image_column=image, text_column=text)
    column = options.image_column
    starts = [0, *accumulate(parquet.metadata.num_rows for parquet in opened)]

    return TableSource(
        with_turn_columns(_texts(files, opened, options), str(path), options.text_column),
        partial(_images, files, options.image_column),
        split=split,
        text_column=options.text_column,
        where=str(path),
        location=partial(_location, files, starts),
        folder=files[0].parent,
        allow_outside=options.allow_outside,
        several_images=all(pa.types.is_list(parquet.schema_arrow.field(column).type) for parquet in opened),
    )


def _recognizes(path: Path) -> bool:
    if path.is_file():
        return path.suffix == ".parquet"
    return any(next(path.glob(pattern), None) for pattern in ("*.parquet", "*/*.parquet", "*/*/*.parquet"))


def _splits(path: Path, options: ReadOptions) -> Sequence[str]:
    return list(parquet_splits(path, options.subset, allow_outside=options.allow_outside))


PARQUET = DataFormat("parquet", _recognizes, _splits, open_parquet)


def _location(files: Sequence[Path], starts: Sequence[int], row: int) -> str:
    shard = bisect_right(starts, row) - 1
    return f"{files[shard]} row {row - starts[shard]}"


@contextmanager
def _damage(what: str, remedy: str) -> Iterator[None]:
    """
    Raises:
        DataError: pyarrow can't read what it is given inside.
        MemoryError: there is too little memory for it, which is no fault of the file.
    """
    try:
        yield
    except MemoryError:
        raise
    except (pa.ArrowException, OSError) as error:
        if getattr(error, "errno", None) == errno.ENOMEM:
            raise MemoryError(one_line(error, 200)) from error
        raise DataError(f"{what} ({one_line(error, 200)}); {remedy}") from error


def _open(file: Path) -> pq.ParquetFile:
    with _damage(f"{file}: not a whole parquet file", "download it again"):
        return pq.ParquetFile(file, memory_map=True)


def _texts(files: Sequence[Path], opened: Sequence[pq.ParquetFile], options: ReadOptions) -> pa.Table:
    tables = []
    for file, parquet in zip(files, opened, strict=True):
        columns = [name for name in parquet.schema_arrow.names if name != options.image_column]
        with _damage(f"{file}: damaged", "download it again"):
            tables.append(parquet.read(columns).replace_schema_metadata())
    with _damage(f"{files[0].parent}: its files differ in columns", "fix them"):
        return pa.concat_tables(tables, promote_options="default")


def _images(files: Sequence[Path], column: str) -> pa.ChunkedArray:
    if _image_bytes(files, column) > MAX_IN_MEMORY_BYTES:
        from datasets import Dataset

        return Dataset.from_parquet([str(file) for file in files], columns=[column]).data.table.column(column)
    with _damage(f"{files[0].parent}: damaged image column", "replace it"):
        return pa.concat_tables(
            [pq.read_table(file, columns=[column], memory_map=True).replace_schema_metadata() for file in files]
        ).column(column)


def _image_bytes(files: Sequence[Path], column: str) -> int:
    """Uncompressed size from the files' footers."""
    total = 0
    for file in files:
        footer = pq.read_metadata(file)
        for group in range(footer.num_row_groups):
            chunks = (footer.row_group(group).column(index) for index in range(footer.num_columns))
            total += sum(c.total_uncompressed_size for c in chunks if c.path_in_schema.split(".")[0] == column)
    return total
