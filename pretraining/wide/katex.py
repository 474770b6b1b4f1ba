"""Write formulas typeset by KaTeX in a browser to a parquet that pre-training draws from.

    npm install katex
    python -m pretraining.wide.katex LATEX_OCR_FOLDER OUT.parquet --katex node_modules/katex --rows 5500

Needs node and Chromium. Each page shows formulas of one size in a grid of cells; a formula whose ink touches its cell's
edge is left out.
"""

import argparse
import io
import json
import random
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as arrow
import pyarrow.parquet as parquet
from PIL import Image

from pretraining.corpus import is_held_out
from pretraining.sampler import TRAIN_ROWS
from pretraining.wide.habits import without_small_spaces
from pretraining.wide.lines import several_lines
from pretraining.wide.mixture import SPACELESS, STAGES, WideImages
from texlens.augment import ink_box, tight_pad

SIZES_PX = (10, 11, 12, 13, 14, 15, 16, 16, 16, 18, 18, 20, 22, 24, 28, 32)
_KATEX_SCALE = 1.21
"""KaTeX sets formulas 1.21 times as large as the text around."""
_COLUMNS, _CELLS = 3, 150
_CELL_EM = 46, 13
SEED = "typeset 1"
_PAGE = """<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="{css}"><style>
body {{ margin: 0; background: #fff }} .cell {{ position: absolute; display: flex; align-items: center;
justify-content: center; width: {width}px; height: {height}px; overflow: hidden; font-size: {size}px }}
.katex-display {{ margin: 0 }}</style>{cells}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("latex_ocr", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--katex", type=Path, required=True, help="the folder of the npm package")
    parser.add_argument("--chromium", default="chromium")
    parser.add_argument("--rows", type=int, default=12_000)
    parser.add_argument("--seed", default=SEED)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    rows = parquet.read_table(args.latex_ocr / TRAIN_ROWS).to_pylist()
    images = WideImages(rows, {"latin-modern": 1.0}, None)
    rows_written: list[dict[str, object]] = []
    while len(rows_written) < args.rows:
        size = rng.choice(SIZES_PX)
        labels = [label for label in (_label(images, rng) for _ in range(_CELLS)) if not is_held_out(label)]
        rows_written += page_rows(labels, size, args.katex.resolve(), args.chromium)
        print(len(rows_written), flush=True)
    parquet.write_table(arrow.Table.from_pylist(rows_written[: args.rows]), args.out, compression="zstd")


def _label(images: WideImages, rng: random.Random) -> str:
    """A formula of any kind; without hand-set spaces more often than not, as for `habits`."""
    plan = STAGES["wide"]
    roll = rng.random()
    if roll < 0.6:
        label = images.wide_label(rng, plan)
    else:
        label = images.rare.sample(rng, rng.randint(4, 40)) if roll < 0.8 else several_lines(rng, images.fill)
    return without_small_spaces(label) if rng.random() < SPACELESS else label


def page_rows(labels: list[str], size_px: int, katex: Path, chromium: str) -> Iterator[dict[str, object]]:
    """Rows of the labels that KaTeX sets and that fit their cells."""
    lines = "\n".join(map(json.dumps, labels))
    command = ["node", str(Path(__file__).with_name("katex.js")), str(katex)]
    result = subprocess.run(command, input=lines, capture_output=True, text=True, check=True)
    htmls = [json.loads(line) for line in result.stdout.splitlines()]
    pairs = [(label, html) for label, html in zip(labels, htmls, strict=True) if html]
    css = (katex / "dist/katex.min.css").as_uri()
    yield from kept_cells(pairs, size_px, size_px * _KATEX_SCALE, "katex", chromium, css)


def kept_cells(
    pairs: Sequence[tuple[str, str]], size_px: int, px_per_em: float, engine: str, chromium: str, css: str = ""
) -> Iterator[dict[str, object]]:
    """Rows of (label, HTML or SVG) whose ink does not touch the edge of its cell."""
    sheet = photograph([html for _, html in pairs], size_px, css, chromium)
    for (label, _), cell in zip(pairs, cells(sheet, len(pairs), size_px), strict=True):
        box = ink_box(cell)
        if box and box[0] > 1 and box[1] > 1 and box[2] < cell.width - 1 and box[3] < cell.height - 1:
            yield {"image": png(tight_pad(cell, 4)), "text": label, "px_per_em": px_per_em, "engine": engine}


def photograph(htmls: Sequence[str], size_px: int, css: str, chromium: str) -> Image.Image:
    """A page with the formulas in a grid, in gray."""
    width, height = (side * size_px for side in _CELL_EM)
    placed = "".join(
        f'<div class="cell" style="left:{number % _COLUMNS * width}px;top:{number // _COLUMNS * height}px">{html}</div>'
        for number, html in enumerate(htmls)
    )
    page = _PAGE.format(css=css, width=width, height=height, size=size_px, cells=placed)
    window = f"--window-size={_COLUMNS * width},{-(-len(htmls) // _COLUMNS) * height}"
    with tempfile.TemporaryDirectory() as folder:
        source, shot = Path(folder) / "page.html", Path(folder) / "page.png"
        source.write_text(page, encoding="utf-8")
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-lcd-text", window]
        command = [chromium, *flags, f"--user-data-dir={folder}/profile", f"--screenshot={shot}", source.as_uri()]
        subprocess.run(command, capture_output=True, check=True, timeout=300)
        return Image.open(shot).convert("L")


def cells(sheet: Image.Image, count: int, size_px: int) -> Iterator[Image.Image]:
    width, height = (side * size_px for side in _CELL_EM)
    for number in range(count):
        left, top = number % _COLUMNS * width, number // _COLUMNS * height
        yield sheet.crop((left, top, left + width, top + height))


def png(image: Image.Image) -> bytes:
    """A PNG of 16 grays, small."""
    file = io.BytesIO()
    image.quantize(16).save(file, "PNG", optimize=True, bits=4)
    return file.getvalue()


if __name__ == "__main__":
    main()
