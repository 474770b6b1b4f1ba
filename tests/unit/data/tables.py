"""Parquet data sets for the tests of this folder."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.unit.data.pictures import png

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write_parquet(path: Path, texts: Sequence[str | None], images: Sequence[bytes] | None = None, **columns) -> Path:
    """Rows of image and text as `datasets` stores them, each image of another noise."""
    images = [png(64, 32, seed) for seed in range(len(texts))] if images is None else images
    image = pa.array([{"bytes": data, "path": None} for data in images], IMAGE)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": image, "text": pa.array(texts, pa.string()), **columns}), path)
    return path


def write_splits(folder: Path, **texts: Sequence[str]) -> Path:
    for split, labels in texts.items():
        write_parquet(folder / f"{split}-00000-of-00001.parquet", labels)
    return folder
