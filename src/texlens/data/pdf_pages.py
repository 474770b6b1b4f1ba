"""Pages of a PDF as images, rendered by PDFium (the extra `texlens[pdf]`)."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from texlens.core.errors import ConfigError, DataError, one_line
from texlens.data.sample import LazyImage

DPI = 200
"""At this resolution a 10-point formula is about 28 pixels high."""
MAX_PAGE_PIXELS = 40_000_000
"""Larger pages (posters, plans) are rendered at a lower resolution."""
SUFFIX = ".pdf"


def page_numbers(text: str) -> list[int]:
    """Page numbers, from 1, of a list such as `1,3-5`.

    Raises:
        ConfigError: not such a list.
    """
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or len(part) > 13:
            raise ConfigError(f"--pages {text[:60]!r}: write page numbers and ranges, such as 1,3-5")
        low, high = int(first), int(last or first)
        if low < 1 or high < low or high - low >= 100_000:
            raise ConfigError(f"--pages {text[:60]!r}: pages are counted from 1, ranges go upwards")
        numbers += range(low, high + 1)
    return list(dict.fromkeys(numbers))


def pdf_pages(path: Path, pages: Sequence[int] | None = None) -> list[tuple[int, LazyImage]]:
    """The pages by number, each rendered when it is opened; all pages where `pages` is None.

    Raises:
        DataError: pypdfium2 is not installed, the file is damaged or needs a password, or it has no such page.
    """
    document = _open(path)
    count = len(document)
    document.close()
    missing = [number for number in pages or () if number > count]
    if missing:
        raise DataError(f"{path}: no page {missing[0]}, it has {count}; change --pages")
    return [
        (number, LazyImage(lambda number=number: _rendered(path, number), f"{path} page {number}"))
        for number in pages or range(1, count + 1)
    ]


def _rendered(path: Path, number: int) -> bytes:
    """A page as PNG."""
    document = _open(path)
    try:
        page = document[number - 1]
        width, height = page.get_size()
        scale = min(DPI / 72, (MAX_PAGE_PIXELS / max(1.0, width * height)) ** 0.5)
        image = page.render(scale=scale).to_pil()
    except _pdfium().PdfiumError as error:
        raise DataError(f"{path} page {number}: can't be rendered ({one_line(error)}); export it again") from None
    finally:
        document.close()
    data = io.BytesIO()
    image.convert("RGB").save(data, "PNG", compress_level=1)
    return data.getvalue()


def _open(path: Path) -> Any:
    try:
        return _pdfium().PdfDocument(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; check the path") from None
    except _pdfium().PdfiumError as error:
        reason = one_line(error)
        raise DataError(f"{path}: not a PDF that can be read ({reason}); damaged, or with a password?") from None


def _pdfium() -> Any:
    try:
        import pypdfium2
    except ImportError:
        raise DataError("reading PDF needs pypdfium2; pip install 'texlens[pdf]'") from None
    return pypdfium2
