import pytest

from tests.unit.data.validate.rows import EXPECTED, inspect_rows, kinds_of
from texlens.data.validate.scan import examine


def test_processes_side_by_side_find_the_same(folder):
    done = []
    assert kinds_of(inspect_rows(folder, processes=2, on_progress=done.append)) == EXPECTED
    assert sum(done) == 12


def test_a_run_that_was_stopped_goes_on_where_it_was(folder, monkeypatch):
    monkeypatch.setattr("texlens.data.validate.scan.PART_ROWS", 2)
    decoded = []

    def examined(job):
        decoded.append(len(job[0]))
        return examine(job)

    monkeypatch.setattr("texlens.data.validate.scan.examine", examined)

    def stop(done):
        if len(decoded) >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        inspect_rows(folder, on_progress=stop)
    before = sum(decoded)
    decoded.clear()
    assert kinds_of(inspect_rows(folder)) == EXPECTED
    assert 0 < sum(decoded) < before
