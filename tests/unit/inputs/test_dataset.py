import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from tests.fixtures.tiny_tokenizer import tiny_tokenizer
from tests.unit.data.pictures import png
from tests.unit.data.tables import write_parquet
from texlens.core.errors import DataError
from texlens.data.geometry import ImageGeometry
from texlens.data.load import load_split
from texlens.data.sample import RejectedRow
from texlens.inputs.dataset import ExampleDataset
from texlens.inputs.padded_collator import Collator

GEOMETRY = ImageGeometry(8, 2, 2, 256, 100_000)


def dataset(tmp_path, images, **options) -> ExampleDataset:
    file = write_parquet(tmp_path / "train.parquet", [f"x^{n}" for n in range(len(images))], images)
    return ExampleDataset(load_split(file), tiny_tokenizer(), GEOMETRY, prompt="Read", **options)


def collator(data: ExampleDataset) -> Collator:
    return Collator(
        data.tokenizer.pad_token_id,
        data.tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        dummy_example=data.dummy_example(),
    )


def test_lengths_from_headers_are_those_of_the_examples(tmp_path):
    data = dataset(tmp_path, [png(64, 32), png(100, 90), png(20, 300)])
    assert data.lengths == [len(data[index]) for index in range(3)]


def test_workers_report_a_damaged_row_beside_the_batch_of_the_rest(tmp_path):
    data = dataset(tmp_path, [png(), png(200, 100)[:900], png(), png()])
    for workers in (0, 2):
        first, second = DataLoader(data, batch_size=2, collate_fn=collator(data), num_workers=workers)
        assert first["input_ids"].shape[0] == 1
        assert [rejected_row.id for rejected_row in first["rejected"]] == ["train-1"]
        assert str(first["rejected"][0]).startswith(f"{tmp_path}/train.parquet row 1: the image is damaged")
        assert "rejected" not in second


def test_a_batch_of_damaged_rows_alone_has_no_label(tmp_path):
    data = dataset(tmp_path, [b"a", b"b"])
    (batch,) = DataLoader(data, batch_size=2, collate_fn=collator(data))
    assert len(batch["rejected"]) == 2
    assert (batch["labels"] == -100).all()
    assert batch["pixel_values"].shape == (4, 384)
    assert batch["mm_token_type_ids"].sum() == 1


def test_strict_data_raise(tmp_path):
    data = dataset(tmp_path, [b"a"], strict=True)
    with pytest.raises(DataError, match="row 0: not a readable image"):
        data[0]


def test_a_transform_draws_by_seed_epoch_and_row(tmp_path):
    def shade(image: Image.Image, generator: np.random.Generator) -> Image.Image:
        return Image.new("RGB", image.size, (int(generator.integers(256)),) * 3)

    data = dataset(tmp_path, [png()] * 2, transform=shade, seed=5)
    first = [data[index].patches[0, 0] for index in (0, 1)]
    assert first == [data[index].patches[0, 0] for index in (0, 1)]
    assert first[0] != first[1]
    data.set_epoch(1)
    assert data[0].patches[0, 0] != first[0]


def test_batches_are_the_same_each_time(tmp_path):
    data = dataset(tmp_path, [png(seed=seed) for seed in range(3)])
    first, two = (next(iter(DataLoader(data, batch_size=3, collate_fn=collator(data)))) for _ in range(2))
    assert all(torch.equal(first[name], two[name]) for name in first)


def test_a_refusal_takes_the_place_of_its_row(tmp_path):
    assert isinstance(dataset(tmp_path, [b"a"])[0], RejectedRow)
