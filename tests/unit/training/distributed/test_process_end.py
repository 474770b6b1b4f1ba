import subprocess
import sys

import pytest

from texlens.training.distributed.process_end import is_launched_process

ENDS = """
import atexit, threading, time
from texlens.training.distributed.process_end import end_process

class Shown:
    def __del__(self):
        print("interpreter's shutdown")

kept = Shown()
atexit.register(print, "exit function")
threading.Thread(target=lambda: (time.sleep(0.1), print("other thread"))).start()
"""


@pytest.mark.parametrize(
    ("last_line", "expected"),
    [
        ("end_process(3)", (3, ["other thread", "exit function"])),
        ("raise SystemExit(3)", (3, ["other thread", "exit function", "interpreter's shutdown"])),
    ],
)
def test_threads_and_exit_functions_end_but_the_interpreter_is_not_shut_down(last_line, expected):
    done = subprocess.run([sys.executable, "-c", ENDS + last_line], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.splitlines()) == expected, done.stderr


def test_process_of_a_launcher_is_known_by_its_variables():
    assert is_launched_process({"RANK": "1", "WORLD_SIZE": "2"})
    for environment in ({}, {"RANK": "0"}, {"RANK": "0", "WORLD_SIZE": "1"}, {"WORLD_SIZE": "2"}):
        assert not is_launched_process(environment)
