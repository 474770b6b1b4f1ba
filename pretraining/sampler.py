"""The stream of (image, answer token ids) pairs that a pre-training worker packs."""

import io
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as parquet
from PIL import Image

from pretraining.corpus import TrainingImages, is_held_out
from texlens.augment import degrade
from texlens.data.geometry import ImageGeometry

GEOMETRY = ImageGeometry(patch_size=8, merge_size=2, temporal_patch_size=2, min_pixels=64 * 256, max_pixels=192 * 256)
REAL_SHARE = {"short": 0.0, "mixed": 0.05, "natural": 0.12}
LONGEST_ANSWER = 280


def training_samples(
    latex_ocr: Path, tokenizer, rng: random.Random, stage: Callable[[], str]
) -> Iterator[tuple[Image.Image, list[int]]]:
    """Pairs without end. Images are 'L', resized as the nano model's processor does; real rows come at `REAL_SHARE`."""
    table = parquet.read_table(latex_ocr / "full/train-00000-of-00001.parquet")
    rows = table.to_pylist()
    drawn = TrainingImages([row["text"] for row in rows])
    while True:
        now = stage()
        if rng.random() < REAL_SHARE[now]:
            row = rng.choice(rows)
            image, label = Image.open(io.BytesIO(row["image"]["bytes"])).convert("L"), row["text"]
            image = degrade(image, rng) if rng.random() < 0.5 else image
        else:
            image, label = drawn.sample(rng, now)
        answer = tokenizer(label)["input_ids"]
        if len(answer) <= LONGEST_ANSWER and not is_held_out(label):
            yield image.resize(GEOMETRY.resized(*image.size), Image.Resampling.BICUBIC), answer
