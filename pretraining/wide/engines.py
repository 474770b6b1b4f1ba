"""Formulas typeset by another engine before training: a parquet of images and labels.

`pretraining.wide.katex` writes it; training draws from it again and again, each time disturbed differently.
"""

import io
import random
from pathlib import Path

import pyarrow.parquet as parquet
from PIL import Image

FILE = "engines.parquet"


class TypesetRows:
    """Rows (image, label) of a parquet: `image` (PNG bytes, or WebP by `carry`), `text`, `px_per_em` and `engine`."""

    def __init__(self, path: Path):
        table = parquet.read_table(path)
        self._images, self._labels = table["image"], table["text"].to_pylist()
        self._sizes = table["px_per_em"].to_pylist()

        self._decoded: dict[int, Image.Image] = {}

    def __len__(self) -> int:
        return len(self._labels)

    def sample(self, rng: random.Random) -> tuple[Image.Image, str, float]:
        """An 'L' image, its label and its pixels an em."""
        number = rng.randrange(len(self._labels))
        if number not in self._decoded:
            self._decoded[number] = Image.open(io.BytesIO(self._images[number].as_py())).convert("L")
        return self._decoded[number], self._labels[number], self._sizes[number]
