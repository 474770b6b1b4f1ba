r"""im2latex: formulas in one file, a line each; lists of which line is drawn in which image; the images in a folder.

    DIR/im2latex_formulas.lst       \alpha + 1                           line 0
    DIR/im2latex_train.lst          0 60ee748793 basic                   line, image without suffix, how it was drawn
    DIR/formula_images/60ee748793.png

The other spelling of lists, `60ee748793.png 0` (im2markup's train_filter.lst), is read too.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from texlens.core.errors import DataError
from texlens.core.regular_files import read_regular
from texlens.data.image_formats import IMAGE_SUFFIXES
from texlens.data.readers.protocol import DataFormat, ReadOptions
from texlens.data.readers.rows.image_files import image_path
from texlens.data.readers.rows.record import Record, RecordSource, memory_source

LIST = re.compile(r"^(?:im2latex_)?(?P<split>train|validate|validation|val|test)(?:_filter)?\.lst$")
SPLITS = {"validate": "validation", "val": "validation"}
IMAGE_FOLDERS = ("formula_images", "formula_images_processed", "images_processed", "images")


def _lists(path: Path) -> dict[str, Path]:
    files = {}
    for file in sorted(path.glob("*.lst")) if path.is_dir() else ():
        named = LIST.match(file.name)
        if named:
            files[SPLITS.get(named["split"], named["split"])] = file
    return files


def _formulas(path: Path) -> Path | None:
    return next((file for file in sorted(path.glob("*formulas*.lst")) if not LIST.match(file.name)), None)


def _open(path: Path, split: str, options: ReadOptions) -> RecordSource:
    listed, formulas = _lists(path)[split], _formulas(path)
    if formulas is None:
        raise DataError(f"{path}: lists, but no file of formulas such as im2latex_formulas.lst; put it there")
    home = next((path / name for name in IMAGE_FOLDERS if (path / name).is_dir()), path)
    texts = read_regular(formulas).split(b"\n")
    rows = _rows(path, listed, formulas, texts, home, options)
    return memory_source(str(listed), split, rows)


def _rows(
    path: Path, listed: Path, formulas: Path, texts: list[bytes], home: Path, options: ReadOptions
) -> Iterator[tuple[str, Record | DataError]]:
    """Formulas are divided at line feeds alone: some hold carriage returns."""
    for number, line in enumerate(read_regular(listed).split(b"\n"), 1):
        words = line.decode("utf-8", errors="replace").split()
        if not words:
            continue
        try:
            yield f"line {number}", _record(words, formulas, texts, home, options)
        except DataError as error:
            yield f"line {number}", error


def _record(words: list[str], formulas: Path, texts: list[bytes], home: Path, options: ReadOptions) -> Record:
    swapped = len(words) == 2 and Path(words[0]).suffix.lower() in IMAGE_SUFFIXES
    index, name = (words[1], words[0]) if swapped else (words[0], words[1] if len(words) > 1 else "")
    if not index.isdigit() or not name:
        raise DataError(f"{' '.join(words)[:60]!r} is not a line of formulas and an image; fix or remove it")
    if int(index) >= len(texts):
        raise DataError(f"formula {index} is not there: {formulas.name} has {len(texts)} lines; download it again")
    try:
        text = texts[int(index)].decode("utf-8").strip("\r")
    except UnicodeDecodeError as error:
        byte = f"byte {error.start + 1} is 0x{texts[int(index)][error.start]:02x}"
        raise DataError(f"{formulas} line {int(index) + 1}: {byte}, not UTF-8; save the file as UTF-8") from error
    file = name if Path(name).suffix.lower() in IMAGE_SUFFIXES else f"{name}.png"
    extra = {"drawn": words[2]} if len(words) > 2 else {}
    return Record(Path(name).stem, (image_path(home, file, allow_outside=options.allow_outside),), text, extra=extra)


def _recognizes(path: Path) -> bool:
    return bool(_lists(path))


def _splits(path: Path, options: ReadOptions) -> list[str]:
    if options.subset is not None:
        raise DataError(f"{path}: im2latex lists have no subsets; remove data.subset")
    return list(_lists(path))


IM2LATEX = DataFormat("im2latex", _recognizes, _splits, _open)
