r"""A text file of labels beside a folder of images, as sets of handwritten and printed formulas are distributed.

    train/train_labels.txt, train/train_images/     HME100K: `train_0.jpg<TAB>x ^ 2` a line
    2014/caption.txt, 2014/img/                     CROHME's standard images: `18_em_0<TAB>x ^ 2`, suffixes left out
    spe.txt, spe/                                   UniMER-Test: line 0 is the label of the first image by name
    train.txt, images/                              UniMER-1M, likewise

Whether lines begin with names is seen from the first one: the file of that name is in the folder, or not.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from texlens.core.errors import DataError
from texlens.core.regular_files import read_regular
from texlens.data.image_formats import IMAGE_SUFFIXES
from texlens.data.readers.protocol import DataFormat, ReadOptions
from texlens.data.readers.rows.image_files import image_path
from texlens.data.readers.rows.record import Record, RecordSource, memory_source

CAPTIONS, CAPTIONED = ("caption.txt", "captions.txt", "labels.txt"), ("img", "images")
SPLITS = {"val": "validation", "valid": "validation"}


@dataclass(frozen=True)
class _List:
    labels: Path
    images: Path


def _lists(path: Path) -> dict[str, _List]:
    """The lists of a folder and of the folders in it, by split."""
    if not path.is_dir():
        return {}
    lists: dict[str, _List] = {}
    for home in [path, *sorted(inner for inner in path.iterdir() if inner.is_dir())]:
        for labels in sorted(home.glob("*.txt")):
            if images := _images_of(labels):
                lists.setdefault(_split(labels, path), _List(labels, images))
    return lists


def _images_of(labels: Path) -> Path | None:
    """The folder of images that a file of labels names by its own name."""
    home, stem = labels.parent, labels.stem
    names = [re.sub(r"_labels$", "_images", stem)] if stem.endswith("_labels") else [stem]
    names += CAPTIONED if labels.name in CAPTIONS or stem == "train" else ()
    return next((home / name for name in names if (home / name).is_dir() and _has_image(home / name)), None)


def _has_image(folder: Path) -> bool:
    return any(file.suffix.lower() in IMAGE_SUFFIXES for file in folder.iterdir())


def _split(labels: Path, path: Path) -> str:
    """
    Example:
        train_labels.txt -> train;  2014/caption.txt -> 2014;  spe.txt -> spe
    """
    stem = labels.stem.removesuffix("_labels")
    name = (labels.parent.name if labels.parent != path else "train") if labels.name in CAPTIONS else stem
    return SPLITS.get(name, name)


def _open(path: Path, split: str, options: ReadOptions) -> RecordSource:
    files = _lists(path)[split]
    return memory_source(str(files.labels), split, _rows(files, options))


def _rows(files: _List, options: ReadOptions) -> Iterator[tuple[str, Record | DataError]]:
    images = {file.name: file.name for file in files.images.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES}
    by_name = {Path(name).stem: name for name in images} | images
    lines = read_regular(files.labels).decode("utf-8-sig", errors="surrogateescape").split("\n")
    if lines and not lines[-1].strip():
        lines.pop()
    first = lines[0].split(maxsplit=1) if lines else []
    named = bool(first) and first[0] in by_name
    in_order = sorted(images)
    for number, line in enumerate(lines):
        location = f"line {number + 1}"
        try:
            line.encode()
            name, text = _parted(line, by_name) if named else _numbered(line, number, in_order)
            image = image_path(files.images, name, allow_outside=options.allow_outside)
            yield location, Record(Path(name).stem, (image,), text)
        except UnicodeEncodeError:
            yield location, DataError("not UTF-8; save the file as UTF-8")
        except DataError as error:
            yield location, error
    for missing in in_order[len(lines) :] if not named else ():
        yield f"image {missing}", DataError(f"no line for it in {files.labels.name}; add one")


def _parted(line: str, by_name: dict[str, str]) -> tuple[str, str]:
    """A line of an image's name and its label, parted by a tab or a space."""
    name, *label = line.rstrip("\r").split(maxsplit=1) if line.strip() else [""]
    if name not in by_name:
        raise DataError(f"no image of the name {name[:60]!r}; add it or remove the line")
    return by_name[name], label[0] if label else ""


def _numbered(line: str, number: int, in_order: list[str]) -> tuple[str, str]:
    if number >= len(in_order):
        raise DataError(f"{len(in_order):,} images for more lines; add the image or remove the line")
    return in_order[number], line.rstrip("\r")


def _recognizes(path: Path) -> bool:
    return bool(_lists(path))


def _splits(path: Path, options: ReadOptions) -> list[str]:
    if options.subset is not None:
        raise DataError(f"{path}: lists of labels have no subsets; name the list by data.splits instead")
    return list(_lists(path))


LABEL_LISTS = DataFormat("labels", _recognizes, _splits, _open)
