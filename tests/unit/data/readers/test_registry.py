import pytest

from tests.unit.data.tables import write_splits
from texlens.core.errors import ConfigError, DataError
from texlens.data.readers import registry as find
from texlens.data.readers.registry import find_format, list_splits, open_source


def test_the_demo_ships_with_three_splits():
    assert sorted(list_splits("demo")) == ["test", "train", "validation"]
    assert sum(len(open_source("demo", split)) for split in ("train", "validation", "test")) >= 600


def test_formats_are_found_by_looking(tmp_path):
    write_splits(tmp_path / "hub" / "small", train=["x"])
    (tmp_path / "talk").mkdir()
    (tmp_path / "talk" / "train.jsonl").write_text("{}")
    assert find_format(tmp_path / "hub").name == "parquet"
    assert find_format(tmp_path / "talk").name == "conversations"
    assert find_format(tmp_path / "talk" / "train.jsonl").name == "conversations"
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no rows of a known format \(parquet, im2latex, coco, images"):
        find_format(tmp_path / "empty")
    with pytest.raises(ConfigError, match=r"data.format 'parket' is not known; use auto, parquet, im2latex"):
        find_format(tmp_path / "hub", "parket")


def test_a_split_that_is_not_there_is_named_with_those_that_are(tmp_path):
    write_splits(tmp_path, train=["x"], test=["y"])
    with pytest.raises(DataError, match=r"no split 'validation', only test, train; .*a share of train such as 0.05"):
        open_source(str(tmp_path), "validation")


@pytest.mark.parametrize("path", ["/no/such/folder", "./gone", "gone.parquet", "a/b/c"])
def test_a_missing_folder_is_not_looked_for_on_the_hub(path, monkeypatch):
    monkeypatch.setattr(find, "open_hub", lambda *_: pytest.fail("asked the hub"))
    with pytest.raises(DataError, match=r"no such file or folder; check data.path"):
        open_source(path, "train")
