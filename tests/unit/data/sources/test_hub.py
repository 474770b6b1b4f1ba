import datasets
import pytest
from datasets.exceptions import DatasetNotFoundError

from tests.unit.data.tables import write_splits
from texlens.core.errors import DataError
from texlens.data.load import load_split
from texlens.data.sources import hub


@pytest.fixture
def fetched(tmp_path, monkeypatch):
    """`owner/name` as `datasets` hands it over once it is fetched."""
    load_dataset = datasets.load_dataset
    folder = write_splits(tmp_path / "set", train=["x", "y"])

    def load(path, subset, split):
        assert (path, subset) == ("owner/name", "small")
        return load_dataset(str(folder), split=split, cache_dir=str(tmp_path / "cache"))

    monkeypatch.setattr(datasets, "load_dataset", load)


def test_rows_of_a_hub_id(fetched):
    rows = load_split("owner/name", subset="small")
    assert [(s.id, s.text, s.image.size, s.image.where) for s in rows] == [
        ("train-0", "x", (64, 32), "owner/name split train row 0"),
        ("train-1", "y", (64, 32), "owner/name split train row 1"),
    ]


def test_an_unknown_split_is_named_with_those_there(fetched):
    with pytest.raises(DataError, match=r'owner/name: Unknown split "test".*train.*; set data.splits to those'):
        load_split("owner/name", subset="small", split="test")


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (DatasetNotFoundError("Dataset 'owner/name' doesn't exist"), "check the id; a private data set needs HF_TOKEN"),
        (
            DatasetNotFoundError("Dataset 'owner/name' is a gated dataset"),
            "ask for access on its page and set HF_TOKEN",
        ),
        (ConnectionError("Couldn't\nreach the Hub"), "check the network, HF_ENDPOINT and HF_HUB_OFFLINE"),
        (ValueError("Config name is missing."), "set data.subset"),
        (OSError("disk full"), "download it and set data.path"),
    ],
)
def test_what_the_hub_says_comes_in_one_line_with_a_remedy(error, remedy, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError) as raised:
        load_split("owner/name")
    message = str(raised.value)
    assert message.startswith("owner/name: ")
    assert remedy in message
    assert "\n" not in message


def test_modelscope_without_its_package_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(hub.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"modelscope is not installed; run pip install 'texlens\[modelscope\]'"):
        load_split("modelscope:owner/name")


def test_modelscope_files_are_read_as_a_local_folder(monkeypatch, tmp_path):
    write_splits(tmp_path, train=["x"])
    monkeypatch.setattr("texlens.data.sources.find.fetch_modelscope", lambda path: tmp_path)
    assert load_split("modelscope:owner/name").texts() == ["x"]
