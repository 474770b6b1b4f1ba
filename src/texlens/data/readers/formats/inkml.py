"""CROHME's InkML: pen strokes with the formula in an annotation. The strokes are drawn here, when the image is read.

    <ink><annotation type="truth">$x^2$</annotation><trace id="0">10 20, 11 22, 13 25</trace></ink>

Folders `train`, `validation`, `test` are splits; without them all files, in folders below too, are `train`.
"""

import io
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from PIL import Image, ImageDraw

from texlens.core.errors import DataError, one_line
from texlens.core.regular_files import read_regular
from texlens.data.readers.protocol import DataFormat, ReadOptions
from texlens.data.readers.rows.layout import SPLIT_NAMES
from texlens.data.readers.rows.record import Record, RecordSource, memory_source

MAX_FILE_BYTES = 16 << 20
HEIGHT, MARGIN, PEN_WIDTH = 128, 12, 3
"""Pixels of the drawn image: what the strokes of a wide formula span in height, the paper around them, the pen."""
MAX_WIDTH = 1536
MAX_COORDINATE = 1e9
"""Larger numbers are damage: CROHME's are below 1e6."""
OVERSAMPLING = 2

Stroke = Sequence[tuple[float, float]]


def draw_strokes(strokes: Sequence[Stroke]) -> Image.Image:
    """Black ink on white paper, the shape of the strokes kept.

    Raises:
        DataError: no point in them.
    """
    points = [point for stroke in strokes for point in stroke]
    if not points:
        raise DataError("no stroke in it; remove the file")
    left, top = min(x for x, _ in points), min(y for _, y in points)
    width, height = max(x for x, _ in points) - left, max(y for _, y in points) - top
    inner = HEIGHT - 2 * MARGIN
    scale = min(inner / max(height, width / 12, 1e-6), (MAX_WIDTH - 2 * MARGIN) / max(width, 1e-6))
    size = (round(width * scale) + 2 * MARGIN, round(height * scale) + 2 * MARGIN)
    paper = Image.new("L", (size[0] * OVERSAMPLING, size[1] * OVERSAMPLING), 255)
    draw_on = ImageDraw.Draw(paper)
    for stroke in strokes:
        line = [
            (((x - left) * scale + MARGIN) * OVERSAMPLING, ((y - top) * scale + MARGIN) * OVERSAMPLING)
            for x, y in stroke
        ]
        draw_on.line(line, fill=0, width=PEN_WIDTH * OVERSAMPLING, joint="curve")
        radius = PEN_WIDTH * OVERSAMPLING / 2
        for x, y in (line[:1] + line[-1:]) if line else ():
            draw_on.ellipse((x - radius, y - radius, x + radius, y + radius), fill=0)
    return paper.resize(size, Image.Resampling.LANCZOS)


def read_inkml(path: Path) -> tuple[str | None, str, list[Stroke]]:
    """Its own id, the formula without its dollars, and the strokes.

    Raises:
        DataError: not InkML, or no formula in it.
    """
    data = read_regular(path, MAX_FILE_BYTES)
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise DataError("declares entities, which no InkML needs; remove the declaration")
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DataError(f"not XML ({one_line(error, 200)}); download it again") from error
    notes = {
        element.get("type", ""): (element.text or "").strip() for element in root if _name(element) == "annotation"
    }
    text = notes.get("truth", "")
    text = text.strip("$").strip() if text.startswith("$") else text
    if not text:
        raise DataError("no annotation of type truth in it; label it or remove it")
    return notes.get("UI"), text, [_stroke(element.text or "") for element in root.iter() if _name(element) == "trace"]


def _name(element: ElementTree.Element) -> str:
    return element.tag.rsplit("}", 1)[-1]


def _stroke(text: str) -> Stroke:
    """Points are divided by commas; of a point's numbers the first two are its place."""
    try:
        points = [tuple(map(float, point.split()[:2])) for point in text.split(",") if point.strip()]
    except ValueError as error:
        raise DataError(f"a trace with something else than numbers ({error}); fix it") from error
    if not all(len(point) == 2 and all(abs(value) <= MAX_COORDINATE for value in point) for point in points):
        raise DataError("a trace whose points are not pairs of numbers of a tablet; fix it")
    return [(point[0], point[1]) for point in points]


def _drawn(path: Path) -> bytes:
    file = io.BytesIO()
    draw_strokes(read_inkml(path)[2]).save(file, "PNG")
    return file.getvalue()


def _rows(folder: Path, files: Sequence[Path]) -> Iterator[tuple[str, Record | DataError]]:
    for file in files:
        location = str(file.relative_to(folder))
        try:
            row_id, text, strokes = read_inkml(file)
            if not any(strokes):
                raise DataError("no stroke in it; remove the file")
            extra = {"ui": row_id} if row_id else {}
            yield location, Record(location.removesuffix(".inkml"), (), text, extra=extra, draw=partial(_drawn, file))
        except DataError as error:
            yield location, error
        except OSError as error:
            yield location, DataError(f"can't be read ({error.strerror or error}); fix or remove it")


def _folders(path: Path) -> dict[str, Path]:
    if path.is_file():
        return {"train": path.parent} if path.suffix == ".inkml" else {}
    named = {name: path / name for name in SPLIT_NAMES if next((path / name).rglob("*.inkml"), None)}
    return named or ({"train": path} if next(path.rglob("*.inkml"), None) else {})


def _open(path: Path, split: str, options: ReadOptions) -> RecordSource:
    folder = _folders(path)[split]
    files = [path] if path.is_file() else sorted(folder.rglob("*.inkml"))
    return memory_source(str(folder), split, _rows(folder, files))


def _recognizes(path: Path) -> bool:
    return bool(_folders(path))


def _splits(path: Path, options: ReadOptions) -> list[str]:
    if options.subset is not None:
        raise DataError(f"{path}: InkML has no subsets; name the folder inside")
    return list(_folders(path))


INKML = DataFormat("inkml", _recognizes, _splits, _open)
