"""A folder of images with their texts: `metadata.jsonl` (or .csv) that names them, or a .txt of the same name.

    DIR/a.png DIR/a.txt            or            DIR/metadata.jsonl: {"file_name": "a.png", "text": "x^2"}

Folders `train`, `validation`, `test` in it are splits; without them all is `train`. Images in deeper folders count.
Every file is accounted for: an image or a text without the other is a rejected row, other files are counted.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from texlens.core.errors import DataError
from texlens.core.regular_files import read_regular
from texlens.data.image_formats import HEIF_SUFFIXES, IMAGE_SUFFIXES, unreadable_suffix
from texlens.data.readers.formats.csv_table import open_table
from texlens.data.readers.protocol import DataFormat, ReadOptions
from texlens.data.readers.rows.fields import record_of_fields
from texlens.data.readers.rows.image_files import check_inside
from texlens.data.readers.rows.json_rows import json_source
from texlens.data.readers.rows.layout import SPLIT_NAMES
from texlens.data.readers.rows.record import Record, RecordSource, memory_source

METADATA = ("metadata.jsonl", "metadata.csv", "metadata.tsv")
SYSTEM_FOLDERS = ("__MACOSX", "__pycache__")
SYSTEM_FILES = ("Thumbs.db", "desktop.ini")
MAX_TEXT_BYTES = 16 << 20


@dataclass
class _Files:
    """The files of a folder: images with the text of the same name, texts without an image, and others by suffix."""

    images: list[tuple[Path, Path | None]] = field(default_factory=list)
    lone_texts: list[Path] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)


def _files(folder: Path) -> _Files:
    files = _Files()
    images: list[Path] = []
    texts: dict[str, Path] = {}
    for path, ignored_as in _walk(folder):
        suffix = path.suffix.lower()
        if ignored_as:
            files.ignored[ignored_as] += 1
        elif suffix in IMAGE_SUFFIXES | HEIF_SUFFIXES:
            images.append(path)
        elif suffix == ".txt":
            stem = str(path.with_suffix(""))
            files.lone_texts += [path] if stem in texts else []
            texts.setdefault(stem, path)
        else:
            files.ignored[path.suffix or path.name] += 1
    files.images = [(image, texts.get(str(image.with_suffix("")))) for image in images]
    with_image = {str(image.with_suffix("")) for image in images}
    files.lone_texts += [path for stem, path in texts.items() if stem not in with_image]
    return files


def _walk(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every file below `folder` in order, with what it is ignored as ("" for others): files of the system, say."""
    for home, folders, names in os.walk(folder):
        folders.sort()
        hidden = next((part for part in Path(home).relative_to(folder).parts if _is_system(part)), "")
        for name in sorted(names):
            yield Path(home) / name, hidden or (name if _is_system(name) else "")


def _is_system(name: str) -> bool:
    return name.startswith(".") or name in SYSTEM_FOLDERS or name in SYSTEM_FILES


def _splits_of(path: Path) -> dict[str, Path]:
    named = {name: path / name for name in SPLIT_NAMES if _metadata(path / name) or _has_pair(path / name)}
    return named or ({"train": path} if _metadata(path) or _has_pair(path) else {})


def _metadata(folder: Path) -> Path | None:
    return next((folder / name for name in METADATA if (folder / name).is_file()), None)


def _has_pair(folder: Path) -> bool:
    return any(text is not None for _, text in _files(folder).images)


def _rows(folder: Path, files: _Files, options: ReadOptions) -> Iterator[tuple[str, Record | DataError]]:
    for image, text in files.images:
        yield _shown(image.relative_to(folder)), _pair(folder, image, text, options)
    for text in files.lone_texts:
        yield (
            _shown(text.relative_to(folder)),
            DataError(f"no image of the name {text.stem}; add it"),
        )


def _pair(folder: Path, image: Path, text: Path | None, options: ReadOptions) -> Record | DataError:
    if reason := unreadable_suffix(image.suffix):
        return DataError(reason)
    if text is None:
        return DataError(f"no {image.with_suffix('.txt').name} beside it; write its text there")
    try:
        if not options.allow_outside:
            check_inside(folder, image, image.name)
            check_inside(folder, text, text.name, "text")
        answer = read_regular(text, MAX_TEXT_BYTES).decode("utf-8-sig")
    except DataError as error:
        return error
    except OSError as error:
        return DataError(f"{text.name}: can't be read ({error.strerror or error}); fix or remove it")
    except UnicodeDecodeError as error:
        return DataError(f"{text.name}: byte {error.start + 1} is not UTF-8; save it as UTF-8")
    return Record(str(image.relative_to(folder).with_suffix("")), (image,), answer.rstrip("\r\n"))


def _shown(path: Path) -> str:
    """The path with what UTF-8 can't hold escaped."""
    return os.fsencode(path).decode("utf-8", errors="backslashreplace")


def _open(path: Path, split: str, options: ReadOptions) -> RecordSource:
    folder = _splits_of(path)[split]
    metadata = _metadata(folder)
    if metadata is None:
        files = _files(folder)
        return memory_source(str(folder), split, _rows(folder, files, options), files.ignored)
    if not options.allow_outside:
        check_inside(folder, metadata, metadata.name, "file")
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
