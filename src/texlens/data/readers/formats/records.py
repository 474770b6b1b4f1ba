"""JSON and JSONL of flat rows: `{"image_path", "question", "answer"}`, or `{"image", "text"}`, or alike.

`fields.py` knows the names. Paths are relative to the file's folder; fields that mean nothing to a sample are kept in
its `extra`.
"""

from functools import partial
from pathlib import Path

from texlens.core.errors import DataError
from texlens.data.readers.formats.conversations import is_conversation
from texlens.data.readers.protocol import DataFormat, ReadOptions
from texlens.data.readers.rows.fields import IMAGE_FIELDS, record_of_fields
from texlens.data.readers.rows.json_rows import first_row, json_source, split_files
from texlens.data.readers.rows.record import RecordSource


def _recognizes(path: Path) -> bool:
    row = first_row(path)
    return isinstance(row, dict) and not is_conversation(row) and any(name in row for name in IMAGE_FIELDS)


def _splits(path: Path, options: ReadOptions) -> list[str]:
    if options.subset is not None:
        raise DataError(f"{path}: a JSON file of rows has no subsets; remove data.subset")
    return list(split_files(path))


def _open(path: Path, split: str, options: ReadOptions) -> RecordSource:
    file = split_files(path)[split]
    return json_source(file, split, partial(record_of_fields, folder=file.parent, options=options))


RECORDS = DataFormat("records", _recognizes, _splits, _open)
