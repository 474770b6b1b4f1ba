"""Where data commands read from."""

import json

import pytest

from tests.unit.cli.data.calling import run
from tests.unit.data.pictures import png
from texlens.core.errors import DataError
from texlens.data.folder.writer import read_folder


def test_a_limit_takes_the_first_rows_or_draws_them(tmp_path, source):
    statistics = json.loads(run("import", source, "--limit", 3, "-o", tmp_path / "d", "--json").stdout)
    assert (statistics["kept"], statistics["made_by"]["command"]) == (5, "import")
    assert read_folder(tmp_path / "d")["train"].ids() == ["train-0", "train-1", "train-2"]
    run("import", source, "--limit", 3, "--shuffle", "--seed", 1, "-o", tmp_path / "drawn")
    assert read_folder(tmp_path / "drawn")["train"].ids() != ["train-0", "train-1", "train-2"]


def test_one_split_may_be_named(tmp_path, source):
    run("import", source, "--split", "test", "-o", tmp_path / "d")
    assert list(read_folder(tmp_path / "d")) == ["test"]
    with pytest.raises(DataError, match="no split exam; it has test, train"):
        run("import", source, "--split", "exam", "-o", tmp_path / "e")


def test_paths_that_leave_the_folder_need_leave(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "in").mkdir()
    (tmp_path / "in/rows.csv").write_text("path,latex\n../a.png,x\n")
    with pytest.raises(DataError, match="is outside"):
        run("convert", tmp_path / "in/rows.csv", "-o", tmp_path / "d")
    assert run("convert", tmp_path / "in/rows.csv", "--allow-outside", "-o", tmp_path / "d").exit_code == 0
