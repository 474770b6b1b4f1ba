"""A lock file between processes."""

import subprocess
import sys

import pytest

from texlens.core.errors import RunError
from texlens.core.locks import exclusive, try_lock, wait_for_lock

HOLD = """
import sys, pathlib
from texlens.core.locks import exclusive
with exclusive(pathlib.Path(sys.argv[1]), RuntimeError):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_with_the_number_of_the_first(tmp_path):
    path = tmp_path / "folder" / ".lock"
    path.parent.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(RunError, match=f"busy: {holder.pid}$"),
            exclusive(path, lambda pid: RunError(f"busy: {pid}")),
        ):
            pytest.fail("two processes hold the lock")
        holder.kill()
    with exclusive(path, lambda pid: RunError(f"busy: {pid}")):
        assert path.is_file()
    assert not path.exists()


def test_a_lock_that_is_waited_for_is_held(tmp_path):
    with (tmp_path / "f").open("a+") as file, (tmp_path / "f").open("a+") as other:
        wait_for_lock(file)
        assert not try_lock(other)
