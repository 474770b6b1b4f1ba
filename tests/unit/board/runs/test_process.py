import os
import subprocess
import sys
import time

import pytest

from texlens.board import jobs
from texlens.board.runs import process
from texlens.board.runs.process import job_of, resume_run, stop_run
from texlens.core.errors import RunError
from texlens.core.run_folder import RunFolder

HOLD = """
import signal, sys, time
from pathlib import Path
from texlens.core.run_folder import RunFolder
signal.signal(signal.SIGTERM, lambda *_: (print("stopping", flush=True), sys.exit(143)))
with RunFolder(Path(sys.argv[1])).locked():
    print("locked", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "runs" / "a"
    folder.mkdir(parents=True)
    folder.joinpath("run.json").write_text('{"state": "training"}')
    return RunFolder(folder)


def test_stop_asks_the_process_that_works_in_the_run(run):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(run.path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "locked\n"
    assert (run.state, run.process) == ("training", holder.pid)
    with pytest.raises(RunError, match=f"process {holder.pid} works in this run; stop it first"):
        resume_run(run, run.path.parent / ".board")
    assert stop_run(run) == holder.pid
    assert holder.stdout.readline() == "stopping\n"
    assert holder.wait(30) == 143
    assert (run.state, run.process) == ("interrupted", None)
    with pytest.raises(RunError, match="none to stop"):
        stop_run(run)


def test_resume_starts_the_command_in_a_process_of_its_own(run, monkeypatch):
    monkeypatch.setattr(process, "TEXLENS", (sys.executable, "-c", "import sys; print(*sys.argv[1:])"))
    job = resume_run(run, run.path.parent / ".board")
    assert job.command[-3:] == ("train", "--resume", str(run.path))
    until = time.monotonic() + 30
    while job.exit_code is None and time.monotonic() < until:
        time.sleep(0.02)
    assert job.output.read_text().split() == ["train", "--resume", str(run.path)]


def test_the_job_of_a_run_is_found_by_the_process_in_its_lock(run, monkeypatch, tmp_path):
    state = tmp_path / ".board"
    assert job_of(run, state) is None
    job = jobs.start_job(state, "train", lambda folder: [sys.executable, "-c", ""])
    (run.path / ".lock").write_text(str(job.pid))
    assert job_of(run, state).id == job.id
    (run.path / ".lock").write_text("x")
    assert job_of(run, state) is None
    (run.path / ".lock").write_text(str(os.getpid()))
    assert job_of(run, state) is None
