"""PDF files with regions beside them: `paper.pdf` and `paper.jsonl`, or a folder of such pairs (see `pdf_regions`).

A row is a marked part of a page, rendered, with the region's text as its label.
"""

from collections.abc import Iterator
from pathlib import Path

from texlens.core.errors import DataError
from texlens.data.pdf_pages import SUFFIX
from texlens.data.pdf_regions import PageRegion, parse_region, region_images, regions_file
from texlens.data.readers.protocol import DataFormat, ReadOptions
from texlens.data.readers.rows.record import Record, RecordSource, memory_source


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return [file for file in sorted(path.glob(f"*{SUFFIX}")) if regions_file(file).is_file()]
    return [path] if path.suffix.lower() == SUFFIX else []


def _open(path: Path, split: str, options: ReadOptions) -> RecordSource:
    return memory_source(str(path), split, _rows(path))


def _rows(path: Path) -> Iterator[tuple[str, Record | DataError]]:
    for pdf in _files(path):
        for number, line in enumerate(regions_file(pdf).read_text(encoding="utf-8-sig").splitlines(), 1):
            if line.strip():
                yield f"{regions_file(pdf).name} line {number}", _record(pdf, line)


def _record(pdf: Path, line: str) -> Record | DataError:
    try:
        region = parse_region(line)
        if region.text is None:
            return DataError("no text; write what the marked part says, or remove the region")
        return _drawn(pdf, region, region.text)
    except DataError as error:
        return error


def _drawn(pdf: Path, region: PageRegion, text: str) -> Record:
    (image,) = region_images(pdf, [region])
    return Record(region.name(Path(pdf.name)), (), text, extra={"page": region.page}, draw=image.encoded)


def _recognizes(path: Path) -> bool:
    return bool(_files(path))


def _splits(path: Path, options: ReadOptions) -> list[str]:
    if options.subset is not None:
        raise DataError(f"{path}: PDF files have no subsets; remove data.subset")
    for pdf in _files(path):
        if not regions_file(pdf).is_file():
            raise DataError(
                f"{pdf}: no {regions_file(pdf).name} beside it, which names the parts to take: a line of "
                '{"page": 1, "box": [0, 0.2, 1, 0.5], "text": "…"} each; `texlens read` reads whole pages'
            )
    return ["train"]


PDF = DataFormat("pdf", _recognizes, _splits, _open)
