"""A parquet file on which pyarrow ends the process is one line, and is looked at once."""

import os
import signal

import pytest

from tests.unit.data.tables import write_parquet
from texlens.core.errors import DataError
from texlens.data.load import load_split
from texlens.data.readers.formats import parquet_probe
from texlens.data.readers.formats.parquet_probe import check_survives, signal_of

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXLENS_CACHE", str(tmp_path / "cache"))


def test_file_that_ends_the_process_is_one_line(tmp_path, monkeypatch):
    file = write_parquet(tmp_path / "train.parquet", ["x"])
    monkeypatch.setattr(parquet_probe, "read_through", lambda file: os.abort())
    monkeypatch.setattr(parquet_probe, "READ_THROUGH", "import os; os.abort()")
    with pytest.raises(DataError, match=r"train.parquet: damaged \(pyarrow ends with SIGABRT on it\); download"):
        load_split(file)


def test_a_child_that_ends_for_reasons_of_its_own_does_not_make_a_file_damaged(tmp_path, monkeypatch):
    file = write_parquet(tmp_path / "train.parquet", ["x"])
    monkeypatch.setattr(parquet_probe, "read_through", lambda file: os.abort())
    check_survives(file)
    assert parquet_probe.signal_of_interpreter(file) is None


def test_sound_file_is_looked_at_once_until_it_changes(tmp_path, monkeypatch):
    file, children = write_parquet(tmp_path / "train.parquet", ["x"]), []
    monkeypatch.setattr(parquet_probe, "signal_of", lambda read: children.append(read))
    check_survives(file)
    check_survives(file)
    assert len(children) == 1
    os.utime(file, ns=(1, 1))
    check_survives(file)
    assert len(children) == 2


def test_child_that_hangs_is_ended_and_the_file_is_read(monkeypatch):
    monkeypatch.setattr(parquet_probe, "LIMIT_S", 0.2)
    assert signal_of(signal.pause) is None
    assert signal_of(lambda: None) is None
    assert signal_of(os.abort) == signal.SIGABRT
