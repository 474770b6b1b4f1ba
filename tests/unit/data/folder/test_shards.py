import os

import pytest

from tests.unit.data.folder.samples import RICH, A, B, image, plain, rows
from texlens.data.folder.writer import FolderWriter, read_folder
from texlens.data.sample import Sample


def test_shards_that_lack_a_later_column_are_given_it(tmp_path):
    plain_row = Sample("p", image(A), "x", extra={"level": 1})
    odd = Sample("o", image(B), "y", extra={"level": "high"})
    with FolderWriter(tmp_path / "d", made_by={}, shard_rows=1) as writer:
        for row in (plain_row, RICH, odd):
            writer.add("train", row)
    assert [path.name for path in sorted((tmp_path / "d/data").iterdir())] == [
        "train-00000-of-00003.parquet",
        "train-00001-of-00003.parquet",
        "train-00002-of-00003.parquet",
    ]
    assert [plain(row) for row in read_folder(tmp_path / "d")["train"]] == [plain(plain_row), plain(RICH), plain(odd)]


def test_a_kill_while_shards_get_their_final_names_loses_nothing(tmp_path, monkeypatch):
    stopped = FolderWriter(tmp_path / "d", made_by={"n": 1}, shard_rows=1)
    writer = stopped.__enter__()
    for row in (*rows(2), RICH):
        writer.add("train", row)
    renamed = []

    def replace(source, target, replace=os.replace):
        if "-of-" in str(target):
            renamed.append(target)
            if len(renamed) == 2:
                raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as killed:
        killed.setattr("texlens.data.folder.shards.os.replace", replace)
        with pytest.raises(KeyboardInterrupt):
            stopped.__exit__(None)
    with FolderWriter(tmp_path / "d", made_by={"n": 1}, shard_rows=1, resume=True) as writer:
        assert writer.resumed("train") == 3
    assert [plain(row) for row in read_folder(tmp_path / "d")["train"]] == [plain(row) for row in (*rows(2), RICH)]


def test_a_run_of_other_making_does_not_take_up_the_shards(tmp_path):
    stopped = FolderWriter(tmp_path / "d", made_by={"n": 1}, shard_rows=1)
    stopped.__enter__().add("train", rows(1)[0])
    stopped.__exit__(KeyboardInterrupt)
    with FolderWriter(tmp_path / "d", made_by={"n": 2}, resume=True) as writer:
        assert writer.resumed("train") == 0
        writer.add("train", rows(2)[1])
    assert [row.id for row in read_folder(tmp_path / "d")["train"]] == ["1"]
