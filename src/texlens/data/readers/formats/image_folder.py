"""A folder of images with their texts beside: `metadata.jsonl` (or .csv) that names them, or a .txt of the same name.

    DIR/a.png DIR/a.txt            or            DIR/metadata.jsonl: {"file_name": "a.png", "text": "x^2"}

Folders `train`, `validation`, `test` in it are splits; without them all is `train`. Images in deeper folders count.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from texlens.core.errors import DataError
from texlens.data.readers.formats.csv_table import open_table
from texlens.data.readers.protocol import DataFormat, ReadOptions
from texlens.data.readers.rows.fields import record_of_fields
from texlens.data.readers.rows.image_files import IMAGE_SUFFIXES
from texlens.data.readers.rows.json_rows import json_source
from texlens.data.readers.rows.layout import SPLIT_NAMES
from texlens.data.readers.rows.record import Record, RecordSource, files_identity, memory_source

METADATA = ("metadata.jsonl", "metadata.csv", "metadata.tsv")


def _splits_of(path: Path) -> dict[str, Path]:
    named = {name: path / name for name in SPLIT_NAMES if _metadata(path / name) or _has_pair(path / name)}
    return named or ({"train": path} if _metadata(path) or _has_pair(path) else {})


def _metadata(folder: Path) -> Path | None:
    return next((folder / name for name in METADATA if (folder / name).is_file()), None)


def _has_pair(folder: Path) -> bool:
    return any(image.with_suffix(".txt").is_file() for image in _images(folder))


def _images(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)


def _pairs(folder: Path, images: list[Path]) -> Iterator[tuple[str, Record | DataError]]:
    for image in images:
        location = str(image.relative_to(folder))
        yield location, _pair(folder, image)


def _pair(folder: Path, image: Path) -> Record | DataError:
    beside = image.with_suffix(".txt")
    try:
        text = beside.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return DataError(f"no {beside.name} beside it; write its text there")
    except UnicodeDecodeError as error:
        return DataError(f"{beside.name}: byte {error.start + 1} is not UTF-8; save it as UTF-8")
    return Record(str(image.relative_to(folder).with_suffix("")), (image,), text.rstrip("\r\n"))


def _open(path: Path, split: str, options: ReadOptions) -> RecordSource:
    folder = _splits_of(path)[split]
    metadata = _metadata(folder)
    if metadata is None:
        images = sorted(_images(folder))
        texts = [image.with_suffix(".txt") for image in images if image.with_suffix(".txt").is_file()]
        return memory_source(str(folder), split, files_identity([*images, *texts]), _pairs(folder, images))
    if metadata.suffix == ".jsonl":
        return json_source(metadata, split, partial(record_of_fields, folder=folder, options=options))
    return open_table(metadata, split, options)


def _recognizes(path: Path) -> bool:
    return path.is_dir() and bool(_splits_of(path))


def _splits(path: Path, options: ReadOptions) -> list[str]:
    if options.subset is not None:
        raise DataError(f"{path}: a folder of images has no subsets; remove data.subset, or name the folder inside")
    return list(_splits_of(path))


IMAGE_FOLDER = DataFormat("images", _recognizes, _splits, _open)
