import pytest

from tests.unit.data.tables import write_parquet
from texlens.core.errors import DataError
from texlens.data.readers.rows.layout import parquet_splits

README = """---
license: mit
configs:
- config_name: small
  data_files: [{split: train, path: "small/train-*"}, {split: test, path: ["small/test-*"]}]
- config_name: big
  data_files:
  - split: train
    path: big/*.parquet
---
Text.
"""


def names(splits):
    return {split: [path.name for path in files] for split, files in splits.items()}


@pytest.fixture
def hub_folder(tmp_path):
    (tmp_path / "README.md").write_text(README)
    for name in ("small/train-00001-of-00002", "small/train-00000-of-00002", "small/test-00000-of-00001", "big/a"):
        write_parquet(tmp_path / f"{name}.parquet", ["x"])
    return tmp_path


def test_the_readmes_configs_name_the_files_in_order(hub_folder):
    assert names(parquet_splits(hub_folder, "small")) == {
        "train": ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"],
        "test": ["test-00000-of-00001.parquet"],
    }
    assert names(parquet_splits(hub_folder, "big")) == {"train": ["a.parquet"]}


def test_a_subset_must_be_chosen_among_several(hub_folder):
    with pytest.raises(DataError, match=r"several subsets; set data.subset to one of small, big"):
        parquet_splits(hub_folder, None)
    with pytest.raises(DataError, match=r"no subset 'smal'; set data.subset to one of small, big"):
        parquet_splits(hub_folder, "smal")


def test_a_readme_that_leaves_the_folder_is_rejected(hub_folder):
    (hub_folder / "README.md").write_text(README.replace("small/train-*", "../secret/*"))
    with pytest.raises(DataError, match="leaves the folder"):
        parquet_splits(hub_folder, "small")


def test_without_a_readme_names_decide(tmp_path):
    write_parquet(tmp_path / "train-00000-of-00001-abc123.parquet", ["x"])
    write_parquet(tmp_path / "validation.parquet", ["x"])
    write_parquet(tmp_path / "test" / "any.parquet", ["x"])
    assert names(parquet_splits(tmp_path, None)) == {
        "train": ["train-00000-of-00001-abc123.parquet"],
        "validation": ["validation.parquet"],
        "test": ["any.parquet"],
    }


def test_subsets_are_found_as_folders(hub_folder):
    (hub_folder / "README.md").write_text("no front matter")
    assert list(parquet_splits(hub_folder, "small")) == ["test", "train"]
    with pytest.raises(DataError, match=r"set data.subset to one of big, small"):
        parquet_splits(hub_folder, None)


def test_the_folder_data_is_looked_into(tmp_path):
    write_parquet(tmp_path / "data" / "train-00000-of-00001.parquet", ["x"])
    assert list(parquet_splits(tmp_path, None)) == ["train"]


def test_a_file_of_any_name_is_train(tmp_path):
    assert list(parquet_splits(write_parquet(tmp_path / "formulas.parquet", ["x"]), None)) == ["train"]
    assert list(parquet_splits(tmp_path, None)) == ["train"]
