import os
import subprocess
import sys

import pytest

from texlens.core.errors import RunError
from texlens.core.locks import try_lock
from texlens.core.run_folder import RunFolder, list_runs


def test_a_taken_name_gets_a_number(tmp_path):
    names = [RunFolder.create(tmp_path, "nano").path.name for _ in range(3)]
    assert names == ["nano", "nano-2", "nano-3"]


def test_runs_are_listed_and_other_folders_are_not(tmp_path):
    RunFolder.create(tmp_path, "a")
    (tmp_path / "other").mkdir()
    assert [run.path.name for run in list_runs(tmp_path)] == ["a"]


def test_what_is_no_run_folder_is_refused(tmp_path):
    with pytest.raises(RunError, match="not a run folder"):
        RunFolder.open(tmp_path)


def test_a_folder_in_use_by_another_process_is_refused_and_names_it(tmp_path):
    run = RunFolder.create(tmp_path, "a")
    code = (
        "import sys, time; from pathlib import Path; from texlens.core.run_folder import RunFolder\n"
        "with RunFolder(Path(sys.argv[1])).locked(): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, run.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=f"in use by process {holder.pid}"), run.locked():
            pass
        holder.communicate("")
    with run.locked():
        pass


def test_one_that_asks_for_the_state_is_not_taken_for_a_process_at_work(tmp_path):
    run = RunFolder.create(tmp_path, "run")
    with run.locked():
        assert (run.is_locked, run.process) == (True, os.getpid())
    with (run.path / ".lock").open("r+") as asking:
        assert try_lock(asking, shared=True)
        assert (run.is_locked, run.process) == (False, None)


def test_a_measurement_cut_short_by_a_kill_is_left_out(tmp_path):
    run = RunFolder.create(tmp_path, "a")
    run.metrics.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo')
    assert run.history() == [{"step": 1, "loss": 2.0}]
