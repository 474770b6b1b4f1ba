import os
import pickle
import subprocess
import sys

import datasets
import pytest
from datasets.exceptions import DatasetNotFoundError

from tests.unit.data.readers.hub_server import hub_of
from tests.unit.data.tables import write_splits
from texlens.core.errors import DataError
from texlens.data.load import load_split
from texlens.data.readers import hub


@pytest.fixture(autouse=True)
def _hub_answers(monkeypatch):
    monkeypatch.setattr(hub, "_answers", lambda path: True)


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
    assert pickle.loads(pickle.dumps(rows))[1].image.read() == rows[1].image.read()


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
    monkeypatch.setattr("texlens.data.readers.registry.fetch_modelscope", lambda path: tmp_path)
    assert load_split("modelscope:owner/name").texts() == ["x"]


READ = """
from texlens.core.errors import DataError
from texlens.data.load import load_split
for path, options in {requested}:
    try:
        rows = load_split(path, **options)
        print(len(rows), rows[0].id, rows[0].text, rows[0].image.load().size)
    except DataError as error:
        print(error)
"""


def read_elsewhere(requested: list[tuple[str, dict]], **environment: str) -> list[str]:
    """Lines printed by a process of its own, since the clients read their environment once."""
    variables = {**os.environ, "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1", "HF_HUB_OFFLINE": "0", **environment}
    code = READ.format(requested=requested)
    created = subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True, timeout=300
    )
    return created.stdout.splitlines()


@pytest.mark.slow
def test_a_data_set_is_fetched_from_a_hub_and_read_again_offline(tmp_path):
    folder = write_splits(tmp_path / "set", train=["x", "y"], test=["z"])
    home = str(tmp_path / "home")
    requested = [
        ("owner/name", {"split": "test"}),
        ("owner/name", {"split": "exam"}),
        ("owner/name", {"subset": "big"}),
        ("owner/gone", {}),
    ]
    with hub_of(folder) as address:
        results, no_split, no_subset, no_set = read_elsewhere(requested, HF_ENDPOINT=address, HF_HOME=home)
    assert results == "1 test-0 z (64, 32)"
    assert no_split.startswith("owner/name: Unknown split")
    assert no_split.endswith("; set data.splits to those, or validation and test to a share of train such as 0.05")
    assert no_subset.endswith("; set data.subset to one of those")
    assert "; check the id; a private data set needs HF_TOKEN" in no_set
    for unreachable in ({"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": address}):
        again, elsewhere = read_elsewhere([requested[0], ("owner/other", {})], HF_HOME=home, **unreachable)
        assert again == results
        assert elsewhere.startswith("owner/other: ")
        assert "check the network, HF_ENDPOINT and HF_HUB_OFFLINE" in elsewhere
