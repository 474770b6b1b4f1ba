import os
import sys
import time

import psutil
import pytest

from texlens.board.jobs import find_job, list_jobs, start_job
from texlens.core.errors import RunError


def ended(job):
    until = time.monotonic() + 60
    while job.exit_code is None:
        assert time.monotonic() < until
        time.sleep(0.02)
    return job.exit_code


def test_a_command_runs_in_a_session_of_its_own_and_its_output_is_kept(tmp_path):
    code = "import os, sys; print(open(sys.argv[1]).read(), os.getsid(0)); print('bad', file=sys.stderr); sys.exit(3)"
    job = start_job(
        tmp_path, "train", lambda folder: [sys.executable, "-c", code, str(folder / "a.yaml")], {"a.yaml": "hello"}
    )
    assert ended(job) == 3
    assert job.output.read_text().split() == ["hello", str(job.pid), "bad"] or "bad" in job.output.read_text()
    assert str(os.getsid(0)) not in job.output.read_text().split()
    assert [entry.id for entry in list_jobs(tmp_path)] == [job.id]
    assert find_job(tmp_path, job.id).command == job.command


def test_a_running_command_is_known_to_another_board(tmp_path):
    job = start_job(tmp_path, "train", lambda folder: [sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (entry,) = list_jobs(tmp_path)
        assert (entry.is_running, entry.exit_code) == (True, None)
    finally:
        psutil.Process(job.pid).kill()
    ended(job)
    assert not list_jobs(tmp_path)[0].is_running


def test_a_process_number_that_belongs_to_another_program_is_not_the_job(tmp_path):
    job = start_job(tmp_path, "train", lambda folder: [sys.executable, "-c", ""])
    ended(job)
    (job.folder / "job.json").write_text(f'{{"kind": "train", "command": [], "pid": {os.getpid()}, "started": 1000.0}}')
    assert not list_jobs(tmp_path)[0].is_running


def test_a_damaged_record_is_left_out_and_a_missing_program_is_an_error(tmp_path):
    with pytest.raises(RunError, match="can't be started"):
        start_job(tmp_path, "train", lambda folder: ["/no/such/program"])
    folder = tmp_path / "jobs" / "x"
    folder.mkdir()
    (folder / "job.json").write_text("{")
    assert list_jobs(tmp_path) == []
    with pytest.raises(RunError, match="no such process"):
        find_job(tmp_path, "x")
