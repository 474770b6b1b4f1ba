"""The stream of (image, answer token ids) pairs that a pre-training worker packs."""

import io
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import pyarrow.parquet as parquet
from PIL import Image

from pretraining.corpus import TrainingImages, is_held_out
from pretraining.wide.engines import FILE, TypesetRows
from pretraining.wide.fonts import register
from pretraining.wide.mixture import WideImages
from texlens.augment import degrade
from texlens.data.geometry import ImageGeometry
from texlens.latex.render.raster import keep_glyphs

TRAIN_ROWS = "full/train-00000-of-00001.parquet"
REAL_SHARE = {"short": 0.0, "mixed": 0.05, "natural": 0.12}
LONGEST_ANSWER = {"narrow": 280, "wide": 400}
"""Tokens."""
MOST_ANSWERS_KEPT, MOST_GLYPHS_KEPT = 16_000, 300_000
GEOMETRY = {
    "narrow": ImageGeometry(
        patch_size=8, merge_size=2, temporal_patch_size=2, min_pixels=64 * 256, max_pixels=192 * 256
    ),
    "wide": ImageGeometry(patch_size=8, merge_size=2, temporal_patch_size=2, min_pixels=64 * 256, max_pixels=384 * 256),
}
"""How the nano model's processor resizes images: 64 to 192, or 64 to 384 image tokens."""

Samples = Iterator[tuple[Image.Image, list[int]]]


@dataclass(frozen=True)
class Mixture:
    """`narrow` is the first pre-training, `wide` the second; `extras` holds the second one's `fonts/` and parquet."""

    name: str
    latex_ocr: Path
    extras: Path | None = None

    def files(self) -> list[Path]:
        """Everything that samples are made from, beside this code."""
        extras = sorted(self.extras.glob("fonts/*")) if self.extras else []
        typeset = self.extras / FILE if self.extras else None
        return [self.latex_ocr / TRAIN_ROWS, *extras, *([typeset] if typeset and typeset.is_file() else [])]

    def rows(self) -> list[dict]:
        return parquet.read_table(self.latex_ocr / TRAIN_ROWS).to_pylist()


def narrow_samples(mixture: Mixture, tokenizer, rng: random.Random, stage: Callable[[], str]) -> Samples:
    """Pairs without end. Images are 'L', resized as the nano model's processor does; real rows come at `REAL_SHARE`."""
    rows = mixture.rows()
    drawn = TrainingImages([row["text"] for row in rows])
    while True:
        now = stage()
        if rng.random() < REAL_SHARE[now]:
            row = rng.choice(rows)
            image, label = Image.open(io.BytesIO(row["image"]["bytes"])).convert("L"), row["text"]
            image = degrade(image, rng) if rng.random() < 0.5 else image
        else:
            image, label = drawn.sample(rng, now)
        if not is_held_out(label):
            yield from _ready(image, tokenizer(label)["input_ids"], "narrow")


def wide_samples(mixture: Mixture, tokenizer, rng: random.Random, stage: Callable[[], str]) -> Samples:
    """Pairs without end from `WideImages`, resized as the nano model's processor does."""
    typeset = mixture.extras / FILE if mixture.extras else None
    fonts = register(mixture.extras / "fonts" if mixture.extras else None)
    images = WideImages(mixture.rows(), fonts, TypesetRows(typeset) if typeset and typeset.is_file() else None)
    answer = lru_cache(maxsize=MOST_ANSWERS_KEPT)(partial(token_ids, tokenizer))
    keep_glyphs(MOST_GLYPHS_KEPT)
    while True:
        image, label = images.sample(rng, stage())
        yield from _ready(image, answer(label), "wide")


def token_ids(tokenizer, label: str) -> list[int]:
    """What `tokenizer(label)["input_ids"]` gives, in a quarter of the time."""
    return tokenizer.backend_tokenizer.encode(label, add_special_tokens=False).ids


def _ready(image: Image.Image, answer: list[int], name: str) -> Samples:
    """The pair, unless its answer is too long or its image too narrow to be resized."""
    longest, shortest = max(image.size), min(image.size)
    if len(answer) <= LONGEST_ANSWER[name] and longest <= 150 * shortest:
        yield image.resize(GEOMETRY[name].resized(*image.size), Image.Resampling.BICUBIC), answer
