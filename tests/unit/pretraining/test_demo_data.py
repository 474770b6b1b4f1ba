import io
import random
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
from PIL import Image
from pretraining.demo_data import OUT, SEED, SPLITS, as_table, demo_rows, png
from pretraining.school_formulas import school_formula

from texlens.latex.parse.parser import parse


def test_the_shipped_rows_are_those_that_the_script_makes():
    shipped = parquet.read_table(OUT / "train-00000-of-00001.parquet").slice(0, 5).to_pylist()

    generated = list(islice(demo_rows(SEED), 5))

    assert [row["text"] for row in generated] == [row["text"] for row in shipped]
    for row, other in zip(generated, shipped, strict=True):
        pixels, expected = (np.asarray(Image.open(io.BytesIO(r["image"]["bytes"]))) for r in (row, other))
        assert np.array_equal(pixels, expected)


def test_the_same_seed_gives_the_same_bytes():
    assert as_table(list(islice(demo_rows(7), 5))).equals(as_table(list(islice(demo_rows(7), 5))), check_metadata=True)


def test_no_label_stands_twice_and_every_split_is_whole():
    labels = []
    for split, count in SPLITS.items():
        rows = parquet.read_table(OUT / f"{split}-00000-of-00001.parquet", columns=["text"])["text"].to_pylist()
        assert len(rows) == count
        labels += rows

    assert len(set(labels)) == sum(SPLITS.values())


def test_the_shipped_set_is_small_and_its_images_are_within_the_limits():
    files = list(Path(OUT).glob("*.parquet"))
    rows = parquet.read_table(OUT / "test-00000-of-00001.parquet").to_pylist()
    sizes = [Image.open(io.BytesIO(row["image"]["bytes"])).size for row in rows]

    assert sum(file.stat().st_size for file in files) < 3_500_000
    assert max(width for width, _ in sizes) <= 320
    assert max(height for _, height in sizes) <= 112


def test_datasets_reads_the_folder_with_its_images(tmp_path):
    datasets = pytest.importorskip("datasets")

    rows = datasets.load_dataset(str(OUT), split="validation", cache_dir=str(tmp_path))

    assert rows.num_rows == 80
    assert rows[0]["image"].mode == "L"


def test_school_formulas_parse():
    rng = random.Random(0)
    for _ in range(500):
        parse(school_formula(rng))


def test_four_bit_png_keeps_sixteen_grays_of_an_odd_width():
    image = Image.fromarray(np.arange(0, 256, 17, dtype=np.uint8).reshape(1, 16)[:, :15])

    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png(image)))), np.asarray(image))
