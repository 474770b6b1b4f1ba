import io

import pytest
from PIL import Image, ImageOps
from rich.console import Console

from tests.fixtures.tiny_tokenizer import tiny_tokenizer
from tests.unit.data.pictures import png
from tests.unit.data.tables import write_parquet, write_splits
from texlens.config.data import CheckSettings, DataSettings
from texlens.core.errors import ConfigError, DataError
from texlens.data.geometry import ImageGeometry
from texlens.inputs.build import build_splits, read_split
from texlens.inputs.image_preparation import KEEP_SIZE
from texlens.latex.render.formats import render_png

GEOMETRY = ImageGeometry(16, 2, 2, 1_024, 100_000)


def settings(path, validation="validation", test="test", **options) -> DataSettings:
    return DataSettings(path=str(path), splits={"validation": validation, "test": test}, **options)


@pytest.fixture
def hundred(tmp_path):
    return write_splits(tmp_path, train=[f"x{n}" for n in range(100)], validation=["v"], test=["t1", "t2", "t3"])


def built(data: DataSettings):
    console = Console(file=io.StringIO(), width=400)
    return build_splits(data, tiny_tokenizer(), GEOMETRY, console=console), console.file.getvalue()


def test_roles_are_the_splits_named(hundred):
    assert read_split(settings(hundred), "test").texts() == ["t1", "t2", "t3"]
    assert len(read_split(settings(hundred), "test", limit=2, seed=1)) == 2
    assert len(read_split(settings(hundred, limit=10), "train")) == 10
    assert len(read_split(settings(hundred, limit=2), "test")) == 3


def test_shares_are_divided_from_train_before_anything_is_drawn(hundred):
    roles = ("train", "validation", "test")
    whole = {role: read_split(settings(hundred, 0.1, 0.2), role).texts() for role in roles}
    assert [len(whole[role]) for role in roles] == [70, 10, 20]
    assert sorted(text for texts in whole.values() for text in texts) == sorted(f"x{n}" for n in range(100))
    few = {role: read_split(settings(hundred, 0.1, 0.2, limit=5), role).texts() for role in roles}
    assert (len(few["train"]), few["validation"], few["test"]) == (5, whole["validation"], whole["test"])
    assert set(few["train"]) <= set(whole["train"])


def test_a_role_that_is_off_or_unknown_says_what_to_set(hundred):
    for role in ("test", "exam"):
        with pytest.raises(ConfigError, match=rf"data.splits.{role}: no such split"):
            read_split(settings(hundred, test=None), role)


def test_shares_that_leave_nothing_are_rejected(hundred):
    with pytest.raises(ConfigError, match=r"data.splits: shares of 1.4 leave no train row"):
        read_split(settings(hundred, 0.5, 0.9), "train")


def test_images_are_prepared_where_a_preparation_is_given(tmp_path):
    dark = io.BytesIO()
    formula = Image.open(io.BytesIO(render_png("x + 1", pixels_per_em=14))).convert("RGB")
    ImageOps.invert(formula).save(dark, "PNG")
    write_parquet(tmp_path / "train.parquet", ["x + 1"], [dark.getvalue()])
    data = settings(tmp_path, None, None)
    plain, prepared = (
        build_splits(data, tiny_tokenizer(), GEOMETRY, console=Console(file=io.StringIO()), preparation=preparation)
        for preparation in (None, KEEP_SIZE)
    )
    assert plain.train[0].image.load().getpixel((0, 0)) == (0, 0, 0)
    assert prepared.train[0].image.load().getpixel((0, 0)) == (255, 255, 255)
    assert plain.train.fingerprint != prepared.train.fingerprint


def test_rows_are_checked_named_and_accounted_for(tmp_path):
    write_parquet(tmp_path / "train.parquet", ["x", "y", ""], [png(), png(200, 100)[:900], png()])
    splits, output = built(settings(tmp_path, None, None))
    assert splits.train.texts() == ["x"]
    assert splits.validation is None
    assert splits.statistics()["splits"]["train"]["rejected"] == {"damaged image": 1, "empty answer": 1}
    assert "train: 2 of 3 rows can't be used" in output
    assert "train.parquet row 1: the image is damaged" in output
    assert len(built(settings(tmp_path, None, None, checks={"images": "headers"}))[0].train) == 2
    with pytest.raises(DataError, match=r"\(2 of 3 rows can't be used"):
        built(settings(tmp_path, None, None, strict=True))


def test_no_train_row_at_all_is_an_error(tmp_path):
    write_parquet(tmp_path / "train.parquet", ["x"], [b"no"])
    with pytest.raises(DataError, match=r"no train row can be used \(.*row 0: not a readable image"):
        built(settings(tmp_path, None, None))


def test_labels_that_leak_from_train_are_reported(tmp_path):
    write_splits(tmp_path, train=["x ^ 2", "y"], validation=["x^2", "z"])
    splits, output = built(settings(tmp_path, test=None))
    assert splits.statistics()["labels_shared_with_train"] == {"validation": 1}
    assert "validation: the labels of 1 of 2 rows are also in train; data.splits.validation: 0.05" in output


def test_labels_of_the_test_split_that_leak_are_reported_before_training(tmp_path):
    write_splits(tmp_path, train=["x ^ 2", "y"], test=["x^2", "z", "y"])
    splits, output = built(settings(tmp_path, validation=None))
    assert splits.statistics()["labels_shared_with_train"] == {"test": 2}
    assert "test: the labels of 2 of 3 rows are also in train" in output


def test_a_data_set_without_the_test_split_trains_all_the_same(tmp_path):
    write_splits(tmp_path, train=["x ^ 2", "y"])
    splits, _ = built(settings(tmp_path, validation=None))
    assert splits.statistics()["labels_shared_with_train"] == {}


def test_leaks_can_stop_a_run(tmp_path):
    write_splits(tmp_path, train=["x ^ 2", "y"], test=["x^2"])
    with pytest.raises(DataError, match="test: the labels of 1 of 1 rows are also in train"):
        built(settings(tmp_path, validation=None).model_copy(update={"checks": CheckSettings(leaks="refuse")}))
