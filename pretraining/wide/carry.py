"""Write the folder that the second pre-training needs on another machine: train rows, fonts, typeset rows.

    python -m pretraining.wide.carry LATEX_OCR_FOLDER OUT --fonts FOLDER --typeset part1.parquet part2.parquet

Images become lossless WebP, which is a fifth smaller than PNG.
"""

import argparse
import io
import shutil
from pathlib import Path

import pyarrow as arrow
import pyarrow.parquet as parquet
from PIL import Image

from pretraining.sampler import TRAIN_ROWS
from pretraining.wide.engines import FILE
from pretraining.wide.fonts import EXTRA


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("latex_ocr", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--fonts", type=Path, required=True)
    parser.add_argument("--typeset", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    (args.out / "LaTeX_OCR/full").mkdir(parents=True, exist_ok=True)
    (args.out / "fonts").mkdir(exist_ok=True)
    rows = [small_row(row) for row in parquet.read_table(args.latex_ocr / TRAIN_ROWS).to_pylist()]
    parquet.write_table(arrow.Table.from_pylist(rows), args.out / "LaTeX_OCR" / TRAIN_ROWS, compression="zstd")
    for file in EXTRA.values():
        shutil.copy(args.fonts / file, args.out / "fonts" / file)
    typeset = [row for path in args.typeset for row in parquet.read_table(path).to_pylist()]
    typeset = [row | {"image": webp(row["image"])} for row in typeset]
    parquet.write_table(arrow.Table.from_pylist(typeset), args.out / FILE, compression="zstd")


def small_row(row: dict) -> dict:
    return {"image": {"bytes": webp(row["image"]["bytes"]), "path": ""}, "text": row["text"]}


def webp(encoded: bytes) -> bytes:
    file = io.BytesIO()
    Image.open(io.BytesIO(encoded)).convert("L").save(file, "WEBP", lossless=True, quality=100, exact=True)
    return file.getvalue()


if __name__ == "__main__":
    main()
