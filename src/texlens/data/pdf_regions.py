"""Parts of PDF pages that the user selected: a line of JSON each, in a file of the PDF's name beside it.

    paper.jsonl    {"page": 2, "box": [0.1, 0.25, 0.9, 0.32], "text": "E = m c ^ { 2 }"}
                   {"page": 3, "text": "…"}

`box` is left, top, right, bottom in fractions of the page; without it the whole page is meant. `text` is the label,
needed for a data set and not for reading.
"""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from texlens.core.errors import DataError
from texlens.data.pdf_pages import pdf_pages
from texlens.data.sample import LazyImage

REGIONS_SUFFIX = ".jsonl"
WHOLE = (0.0, 0.0, 1.0, 1.0)
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class PageRegion:
    page: int
    box: Box = WHOLE
    text: str | None = None

    def name(self, pdf: Path) -> str:
        """
        Example:
            paper.pdf, page 2, box (0.1, 0.25, 0.9, 0.32) -> "paper.pdf#page=2&box=0.1,0.25,0.9,0.32"
        """
        box = "" if self.box == WHOLE else f"&box={','.join(f'{edge:g}' for edge in self.box)}"
        return f"{pdf}#page={self.page}{box}"


def regions_file(pdf: Path) -> Path:
    return pdf.with_suffix(REGIONS_SUFFIX)


def parse_region(line: str) -> PageRegion:
    """
    Raises:
        DataError: no JSON object, or page, box or text that mean nothing.
    """
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise DataError('not a region; write {"page": 1, "box": [left, top, right, bottom], "text": "…"}')
    page, text = row.get("page"), row.get("text")
    if isinstance(page, bool) or not isinstance(page, int) or page < 1:
        raise DataError(f"page {page!r}: pages are counted from 1; correct it")
    if text is not None and not isinstance(text, str):
        raise DataError(f"text {text!r} is no text; correct it")
    return PageRegion(page, _box(row.get("box")), text)


def _box(value: Any) -> Box:
    if value is None:
        return WHOLE
    if isinstance(value, list) and len(value) == 4 and all(isinstance(edge, int | float) for edge in value):
        left, top, right, bottom = map(float, value)
        if 0 <= left < right <= 1 and 0 <= top < bottom <= 1:
            return left, top, right, bottom
    raise DataError(f"box {value!r}: write left, top, right, bottom in fractions of the page, such as [0, 0.2, 1, 0.5]")


def read_regions(file: Path) -> list[PageRegion]:
    """All regions of a file, in its order.

    Raises:
        DataError: no such file, or a line that is no region, with its number.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DataError(f"{file}: can't be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: byte {error.start + 1} is not UTF-8; save it as UTF-8") from error
    regions = []
    for number, line in enumerate(lines, 1):
        try:
            regions += [parse_region(line)] if line.strip() else []
        except DataError as error:
            raise DataError(f"{file} line {number}: {error}") from error
    return regions


def region_images(pdf: Path, regions: Sequence[PageRegion]) -> list[LazyImage]:
    """The marked parts, each rendered when it is opened.

    Raises:
        DataError: as `pdf_pages`: no such page, or no PDF.
    """
    pages = dict(pdf_pages(pdf, sorted({region.page for region in regions}))) if regions else {}
    return [cropped(pages[region.page], region.box, region.name(pdf)) for region in regions]


def cropped(image: LazyImage, box: Box, where: str) -> LazyImage:
    """Part of an image, as PNG; whole pixels, at least one."""
    if box == WHOLE:
        return image

    def read() -> bytes:
        pixels = image.load()
        left, top = int(box[0] * pixels.width), int(box[1] * pixels.height)
        right, bottom = round(box[2] * pixels.width), round(box[3] * pixels.height)
        data = io.BytesIO()
        pixels.crop((left, top, max(left + 1, right), max(top + 1, bottom))).save(data, "PNG", compress_level=1)
        return data.getvalue()

    return LazyImage(read, where)
