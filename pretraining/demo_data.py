"""Write the demo data set: generated school formulas in synthetic handwriting, in the hub's parquet layout.

    python -m pretraining.demo_data [--out src/texlens/data/demo] [--seed 2026]

Every label occurs once, so no split shares one with another, and each split has all writers.
"""

import argparse
import json
import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
from PIL import Image

from pretraining.school_formulas import school_formula
from texlens.latex.handwriting.writer import WriterStyle, draw_handwriting
from texlens.latex.layout.formula import layout

OUT = Path(__file__).parents[1] / "src/texlens/data/demo"
SPLITS = {"train": 660, "validation": 80, "test": 260}
WRITERS = 8
WIDEST_PX, TALLEST_PX = 320, 112
X_HEIGHT_PX = (13.0, 17.0)
LEAST_X_HEIGHT_PX = 10.5
FEWEST_TOKENS, MOST_TOKENS = 3, 25
SEED = 2026

FEATURES = {
    "image": {"_type": "Image"},
    "text": {"dtype": "string", "_type": "Value"},
    "id": {"dtype": "string", "_type": "Value"},
}
README = """\
---
license: apache-2.0
task_categories: [image-to-text]
pretty_name: TexLens handwriting demo
configs:
- config_name: default
  data_files:
  - {{split: train, path: "train-*"}}
  - {{split: validation, path: "validation-*"}}
  - {{split: test, path: "test-*"}}
---
# Handwriting demo

{total} generated school formulas in the handwriting of {writers} synthetic writers: {sizes}. It is small
enough to fine-tune on within minutes on a CPU, in a style that the shipped nano model was not trained on.

| column | what |
|---|---|
| `image` | PNG, 16 grays, at most {width} × {height} pixels |
| `text` | LaTeX in LaTeX_OCR's style: tokens with one space between them |
| `id` | `demo-` and a number |

Every label occurs once, so no split shares one with another; each split has all writers.

How it was made: `python -m pretraining.demo_data --seed {seed}`. The formulas come from a random grammar
(`pretraining/school_formulas.py`), the layout from the project's own engine, the pen strokes from its own table of
letter shapes (`src/texlens/latex/handwriting/strokes.txt`). No rows of another data set are in it. License: Apache-2.0.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--seed", type=int, default=SEED)
    args = parser.parse_args()
    rows = demo_rows(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    for split, count in SPLITS.items():
        table = as_table([next(rows) for _ in range(count)])
        parquet.write_table(table, args.out / f"{split}-00000-of-00001.parquet", compression="zstd")
    (args.out / "README.md").write_text(readme(args.seed), encoding="utf-8")


def demo_rows(seed: int) -> Iterator[dict[str, object]]:
    """Rows with different labels, the writers in turn; each row depends on the seed and its position alone."""
    styles = [WriterStyle.of_writer(number) for number in range(WRITERS)]
    labels: set[str] = set()
    number = tried = 0
    while True:
        rng = random.Random(f"{seed} {tried}")
        tried += 1
        label = school_formula(rng)
        if label in labels or not FEWEST_TOKENS <= len(label.split(" ")) <= MOST_TOKENS:
            continue
        image = written(label, rng, styles[number % WRITERS])
        if image is not None:
            labels.add(label)
            name = f"demo-{number:04d}"
            yield {"image": {"bytes": png(image), "path": f"{name}.png"}, "text": label, "id": name}
            number += 1


def written(label: str, rng: random.Random, style: WriterStyle) -> Image.Image | None:
    """The label handwritten at ordinary size, or smaller where it is long; None where it would be too small to read."""
    formula = layout(label)
    state = rng.getstate()
    x_height = rng.uniform(*X_HEIGHT_PX)
    while x_height >= LEAST_X_HEIGHT_PX:
        image = draw_handwriting(formula, rng, x_height_px=x_height, style=style)
        if image.width <= WIDEST_PX and image.height <= TALLEST_PX:
            return image
        rng.setstate(state)
        x_height *= 0.9
    return None


def png(image: Image.Image) -> bytes:
    """A PNG of 4 bits a pixel, 16 grays."""
    grays = (np.asarray(image, np.uint16) + 8) // 17
    grays = np.pad(grays, ((0, 0), (0, image.width % 2)))
    packed = (grays[:, ::2] << 4 | grays[:, 1::2]).astype(np.uint8)
    lines = np.pad(packed, ((0, 0), (1, 0)))
    header = struct.pack(">IIBBBBB", image.width, image.height, 4, 0, 0, 0, 0)
    pieces = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in pieces
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def as_table(rows: list[dict[str, object]]) -> arrow.Table:
    """Rows as the hub stores them; the metadata says to `datasets` which column is an image."""
    image = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    schema = arrow.schema([("image", image), ("text", arrow.string()), ("id", arrow.string())])
    metadata = {"huggingface": json.dumps({"info": {"features": FEATURES}})}
    return arrow.Table.from_pylist(rows, schema=schema.with_metadata(metadata))


def readme(seed: int) -> str:
    sizes = ", ".join(f"{count} {split}" for split, count in SPLITS.items())
    total = sum(SPLITS.values())
    return README.format(
        total=f"{total:,}", writers=WRITERS, sizes=sizes, width=WIDEST_PX, height=TALLEST_PX, seed=seed
    )


if __name__ == "__main__":
    main()
