"""COCO: `annotations/captions_train2017.json` with the images in `train2017/`, or such a file alone with images beside.

The archives as COCO and the hubs distribute them are read too: `annotations_trainval2017.zip`, `train2017.zip`.

    {"images": [{"id": 9, "file_name": "000000000009.jpg"}], "annotations": [{"image_id": 9, "caption": "A cat."}]}

An image is a row; its captions are the accepted answers (all, or the first alone). A file of instances, which has no
captions, gives the names of the objects instead: `cat, dog, person`.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from texlens.core.errors import DataError
from texlens.core.regular_files import open_regular
from texlens.data.readers.archive import unpacked
from texlens.data.readers.protocol import DataFormat, ReadOptions
from texlens.data.readers.rows.image_files import image_path
from texlens.data.readers.rows.json_stream import list_values
from texlens.data.readers.rows.record import Record, RecordSource, memory_source

NAMED = re.compile(r"^(?P<kind>captions|instances)_(?P<set>.+)\.json$")
SPLITS = {"val": "validation"}
SNIFF_BYTES = 1 << 16


def _files(path: Path) -> dict[str, Path]:
    """The annotation file of each split; where a split has captions and instances, captions."""
    if path.is_file():
        return {_split(path): path} if _is_coco(path) else {}
    files = _named_files(path)
    for archive in () if files else sorted(path.glob("annotations*.zip")):
        files |= _named_files(unpacked(archive))
    return files


def _named_files(path: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for file in sorted([*path.glob("*.json"), *path.glob("annotations/*.json")], key=lambda file: file.name):
        if NAMED.match(file.name):
            files.setdefault(_split(file), file)
    return files


def _split(file: Path) -> str:
    """
    Example:
        captions_val2017.json -> validation
    """
    named = NAMED.match(file.name)
    name = re.sub(r"\d+$", "", named["set"]).strip("_-") if named else ""
    return SPLITS.get(name, name) if re.fullmatch(r"\w+", name) else "train"


def _is_coco(file: Path) -> bool:
    if file.suffix != ".json":
        return False
    if NAMED.match(file.name):
        return True
    with open_regular(file) as stream:
        head = stream.read(SNIFF_BYTES).lstrip()
    return head.startswith(b"{") and b'"images"' in head and (b'"annotations"' in head or b'"file_name"' in head)


def _open(path: Path, split: str, options: ReadOptions) -> RecordSource:
    file = _files(path)[split]
    images: dict[Any, str] = {}
    texts: dict[Any, list[str]] = defaultdict(list)
    names: dict[Any, str] = {}
    objects: list[tuple[Any, Any]] = []
    for files in list_values(file, ("images", "annotations", "categories")):
        row = files.value if isinstance(files.value, dict) else {}
        if files.key == "images":
            images[row.get("id")] = str(row.get("file_name", ""))
        elif files.key == "categories":
            names[row.get("id")] = str(row.get("name", ""))
        elif isinstance(row.get("caption"), str):
            texts[row.get("image_id")].append(row["caption"].strip())
        else:
            objects.append((row.get("image_id"), row.get("category_id")))
    if not texts:
        texts = _object_names(objects, names)
    records = _records(_homes(file, path), images, texts, options)
    return memory_source(str(file), split, records)


def _object_names(objects: list[tuple[Any, Any]], names: dict[Any, str]) -> dict[Any, list[str]]:
    names_of_image: dict[Any, set[str]] = defaultdict(set)
    for image, category in objects:
        if category in names:
            names_of_image[image].add(names[category])
    return {image: [", ".join(sorted(files))] for image, files in names_of_image.items()}


def _records(
    homes: list[Path], images: dict[Any, str], texts: dict[Any, list[str]], options: ReadOptions
) -> Iterator[tuple[str, Record | DataError]]:
    for number, (key, name) in enumerate(images.items()):
        yield f"image {key if key is not None else number} ({name})", _record(homes, key, name, texts, options)


def _record(
    homes: list[Path], key: Any, name: str, texts: dict[Any, list[str]], options: ReadOptions
) -> Record | DataError:
    if not name:
        return DataError("names no file; fix its file_name or remove it")
    if not texts.get(key):
        return DataError("no caption and no object for it; remove the image or annotate it")
    first, *others = texts[key]
    try:
        paths = [image_path(home, name, allow_outside=options.allow_outside) for home in homes]
    except DataError as error:
        return error
    path = next((path for path in paths if path.is_file()), paths[0])
    return Record(str(key), (path,), first, more_answers=tuple(others) if options.captions == "all" else ())


def _homes(file: Path, path: Path) -> list[Path]:
    """Where a COCO file's images may lie: `train2017` or `images` beside the file or its folder, or just there; else in
    `train2017.zip`. The file may be in an archive of `path` itself."""
    named = NAMED.match(file.name)
    beside = file.parent.parent if file.parent.name == "annotations" else file.parent
    bases = [beside, *([path] if path.is_dir() and path != beside else [])]
    inner = [named["set"], f"images/{named['set']}"] if named else []
    homes = [base / name for base in bases for name in (*inner, "images")]
    homes = [home for home in homes if home.is_dir()]
    archives = [base / f"{named['set']}.zip" for base in bases] if named and not homes else []
    return [*homes, *(unpacked(archive) for archive in archives if archive.is_file()), *bases]


def _recognizes(path: Path) -> bool:
    return bool(_files(path))


def _splits(path: Path, options: ReadOptions) -> list[str]:
    if options.subset is not None:
        raise DataError(f"{path}: COCO files have no subsets; name the annotation file instead")
    files = _files(path)
    if not files:
        raise DataError(f"{path}: no captions_*.json or instances_*.json in it (nor in annotations/)")
    return list(files)


COCO = DataFormat("coco", _recognizes, _splits, _open)
