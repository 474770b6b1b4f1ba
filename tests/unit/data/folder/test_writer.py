import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.unit.data.folder.samples import RICH, A, B, image, plain, rows
from texlens.core.errors import DataError
from texlens.data.folder.statistics import read_statistics, statistics_if_made_by
from texlens.data.folder.writer import FolderWriter, read_folder
from texlens.data.sample import RejectedRow, Sample


def test_a_row_of_everything_comes_back_as_it_was(tmp_path):
    with FolderWriter(tmp_path / "d", made_by={}) as writer:
        writer.add("train", RICH)
    assert plain(read_folder(tmp_path / "d")["train"][0]) == plain(RICH)


def test_datasets_reads_the_folder_with_its_types(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    with FolderWriter(tmp_path / "d", made_by={}, shard_rows=1) as writer:
        writer.add("train", Sample("1", image(A, "a.png"), "x"))
        writer.add("train", Sample("2", image(B), "y", prompt="Read", more_answers=("w",)))
        writer.add("test", Sample("1", image(A), "x"))
    read = datasets.load_dataset(str(tmp_path / "d"), cache_dir=str(tmp_path / "cache"))
    assert read["train"][0]["image"].size == (8, 8)
    assert read["train"]["prompt"] == [None, "Read"]
    assert read["train"]["answers"] == [None, ["y", "w"]]
    assert read["test"]["text"] == ["x"]


def test_rows_are_accounted_for(tmp_path):
    with FolderWriter(tmp_path / "d", made_by={"command": "t"}) as writer:
        writer.add("train", Sample("1", image(A), "x"))
        writer.reject("train", RejectedRow("2", "row 2", "no text", "empty answer"))
        writer.merge("train", 3)
    statistics = read_statistics(tmp_path / "d")
    assert statistics == writer.statistics
    assert (statistics["rows_in"], statistics["kept"], statistics["rejected"], statistics["merged"]) == (5, 1, 1, 3)
    assert statistics["rejected_by_kind"] == {"empty answer": 1}
    rejected = json.loads((tmp_path / "d/rejected.jsonl").read_text())
    assert rejected == {"split": "train", "id": "2", "where": "row 2", "reason": "no text", "kind": "empty answer"}
    assert statistics_if_made_by(tmp_path / "d", {"command": "t"}) == statistics
    assert statistics_if_made_by(tmp_path / "d", {"command": "u"}) is None


def test_an_id_is_used_by_one_row_only(tmp_path):
    with FolderWriter(tmp_path / "d", made_by={}) as writer:
        writer.add("train", Sample("1", image(A), "x"))
        writer.add("test", Sample("1", image(A), "x"))
        with pytest.raises(DataError, match="id '1' is in two rows"):
            writer.add("train", Sample("1", image(B), "y"))
    assert read_statistics(tmp_path / "d")["kept"] == 2


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="holds something other"), FolderWriter(tmp_path, made_by={}, overwrite=True):
        pass
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_another_data_set_is_replaced_only_when_asked(tmp_path):
    for version, overwrite in ((1, False), (2, True)):
        with FolderWriter(tmp_path / "d", made_by={"made": version}, overwrite=overwrite) as writer:
            writer.add("train", Sample("1", image(A), "x"))
    with pytest.raises(DataError, match="--overwrite"), FolderWriter(tmp_path / "d", made_by={}):
        pass
    assert read_statistics(tmp_path / "d")["made_by"] == {"made": 2}


def test_no_row_kept_is_an_error_that_names_the_first(tmp_path):
    with pytest.raises(DataError, match="row 7: torn"), FolderWriter(tmp_path / "d", made_by={}) as writer:
        writer.reject("train", RejectedRow("7", "row 7", "torn"))
    assert list(tmp_path.iterdir()) == []


KILLED = """
    import os, signal, sys
    from tests.unit.data.folder.test_writer import rows
    from texlens.data.folder.writer import FolderWriter
    with FolderWriter(sys.argv[1], made_by={"n": 1}, resume=True, shard_rows=4) as writer:
        for number, row in enumerate(rows(20)):
            if number == 10:
                os.kill(os.getpid(), signal.SIGKILL)
            writer.add("train" if number % 2 else "test", row)
"""


def test_a_killed_run_leaves_no_folder_and_is_taken_up_again(tmp_path):
    folder = tmp_path / "d"
    root = Path(__file__).parents[4]
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), str(folder)], cwd=root, timeout=300)
    assert killed.returncode == -signal.SIGKILL
    assert not folder.exists()
    written = 0
    with FolderWriter(folder, made_by={"n": 1}, resume=True, shard_rows=4) as writer:
        assert (writer.resumed("train"), writer.resumed("test")) == (4, 4)
        for number, row in enumerate(rows(20)):
            split = "train" if number % 2 else "test"
            if not writer.skip(split):
                writer.add(split, row)
                written += 1
    assert written == 12
    read = read_folder(folder)
    assert [row.id for row in read["train"]] == [str(number) for number in range(1, 20, 2)]
    assert [row.text for row in read["test"]] == [f"x_{number}" for number in range(0, 20, 2)]
    assert read_statistics(folder)["rows_in"] == 20
    assert os.listdir(tmp_path) == ["d"]
