"""Data sets that the page opens."""

import time

import pytest

from tests.unit.data.pictures import png
from tests.unit.data.tables import write_parquet
from texlens.board.rows.opened import OpenedDataSets
from texlens.board.workspace import open_workspace
from texlens.core.errors import DataError, RunError


@pytest.fixture
def data(tmp_path):
    pictures = [png(64, 32, n) for n in (0, 1, 1)]
    write_parquet(tmp_path / "d" / "train-00000-of-00001.parquet", ["x^2", "y^2", "y^2"], pictures)
    return str(tmp_path / "d")


@pytest.fixture
def data_sets(tmp_path):
    return OpenedDataSets(open_workspace(tmp_path / "runs"))


def test_a_key_opens_the_same_data_set_in_another_board(data, data_sets, tmp_path):
    key = data_sets.open(data, None)
    again = OpenedDataSets(open_workspace(tmp_path / "runs")).get(key)
    assert again.browser.counts("train")["rows"] == 3
    assert again.edits == data_sets.get(key).edits
    assert again.edits.parent == tmp_path / "runs" / ".board" / "edits"


def test_subsets_have_edits_of_their_own(tmp_path, data_sets):
    for subset in ("a", "b"):
        write_parquet(tmp_path / "s" / subset / "train-00000-of-00001.parquet", ["x"])
    files = {data_sets.get(data_sets.open(str(tmp_path / "s"), subset)).edits for subset in ("a", "b")}
    assert len(files) == 2


def test_a_check_finds_problems_in_the_background(data, data_sets):
    opened = data_sets.get(data_sets.open(data, None))
    opened.check()
    until = time.monotonic() + 60
    while opened.checking.is_running and time.monotonic() < until:
        time.sleep(0.02)
    assert (opened.checking.error, opened.checking.done) == ("", 3)
    assert opened.browser.problems.counts["duplicate-row"] == 1
    assert [row.row for row in opened.browser.beside(("train", 2))] == [1, 2]


def test_known_data_sets_are_those_opened_those_of_runs_and_the_demo(data, data_sets):
    key = data_sets.open(data, None)
    known = data_sets.known()
    assert known[0] == {"key": key, "path": data, "subset": None}
    assert known[-1] == {"key": None, "path": "demo", "subset": None}


def test_opening_again_reads_the_rows_again(data, data_sets, tmp_path):
    opened = data_sets.get(data_sets.open(data, None))
    write_parquet(tmp_path / "d" / "train-00000-of-00001.parquet", ["x^2"], [png(64, 32, 0)])
    again = data_sets.get(data_sets.open(data, None))
    assert (opened.browser.counts("train")["rows"], again.browser.counts("train")["rows"]) == (3, 1)


def test_what_can_t_be_read_is_not_opened(data_sets, tmp_path):
    with pytest.raises(DataError):
        data_sets.open(str(tmp_path), None)
    with pytest.raises(RunError):
        data_sets.get("0" * 12)
    assert [each["path"] for each in data_sets.known()] == ["demo"]
