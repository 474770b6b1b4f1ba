"""Processes are started and ended together; these tests load no torch."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from texlens.training.distributed import launch as launcher
from texlens.training.distributed.launch import child_environment, launch

PREAMBLE = "import os, sys, time; rank = int(os.environ['RANK']); "


def python(code: str) -> list[str]:
    return [sys.executable, "-c", PREAMBLE + code]


def test_each_process_has_its_rank_in_the_environment(tmp_path):
    environment = child_environment(1, 2, tmp_path, {"OMP_NUM_THREADS": "3"})
    assert [environment[name] for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")] == [
        "1",
        "2",
        "1",
        "2",
    ]
    assert environment["TEXLENS_RENDEZVOUS"] == child_environment(0, 2, tmp_path)["TEXLENS_RENDEZVOUS"]
    assert environment["OMP_NUM_THREADS"] == "3"
    assert int(child_environment(0, 2, tmp_path, {})["OMP_NUM_THREADS"]) >= 1


def test_all_processes_are_waited_for(tmp_path):
    assert launch(python(f"time.sleep(rank / 5); open(r'{tmp_path}/' + str(rank), 'w').close()"), 2) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]


def test_failed_process_ends_the_others_with_its_code(monkeypatch):
    monkeypatch.setattr(launcher, "GRACE_S", 0.2)
    assert launch(python("time.sleep(300) if rank == 0 else sys.exit(2)"), 2) == 2
    assert launch(python("time.sleep(300) if rank else os.kill(os.getpid(), 9)"), 2) == 128 + 9


def test_process_that_ignores_sigterm_is_killed(monkeypatch):
    monkeypatch.setattr(launcher, "GRACE_S", 0.3)
    ignores = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300) if rank else sys.exit(3)"
    assert launch(python(ignores), 2) == 3


def test_sigterm_reaches_all_processes(tmp_path):
    def send() -> None:
        while len(list(tmp_path.iterdir())) < 2:
            time.sleep(0.02)
        signal.raise_signal(signal.SIGTERM)

    threading.Thread(target=send, daemon=True).start()
    before = signal.getsignal(signal.SIGTERM)
    code = python(f"open(r'{tmp_path}/' + str(rank), 'w').close(); time.sleep(300)")
    assert launch(code, 2) == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before


def test_ctrl_c_is_forwarded_to_processes_that_did_not_receive_it(tmp_path, monkeypatch):
    monkeypatch.setattr(launcher, "CTRL_C_FORWARD_S", 0.1)

    def send() -> None:
        while len(list(tmp_path.iterdir())) < 2:
            time.sleep(0.02)
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=send, daemon=True).start()
    code = python(f"open(r'{tmp_path}/' + str(rank), 'w').close(); time.sleep(300)")
    assert launch(code, 2) == 128 + signal.SIGINT


def test_processes_notice_that_the_launcher_was_killed(tmp_path):
    waiting = f"name = r'{tmp_path}/' + str(rank); open(name, 'w').close(); "
    waiting += "os.read(int(os.environ['TEXLENS_LAUNCHER_PIPE']), 1); os.remove(name)"
    starts = f"from texlens.training.distributed.launch import launch; launch({python(waiting)!r}, 2)"
    killed = subprocess.Popen([sys.executable, "-c", starts])
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    killed.kill()
    killed.wait()
    wait_until(lambda: not list(tmp_path.iterdir()))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class EndedProcess:
    def __init__(self, code: int):
        self.code = code

    def poll(self) -> int:
        return self.code


@pytest.mark.parametrize(("codes", "expected"), [((2, -9), 137), ((0, 2), 2), ((0, 0), 0)])
def test_killed_process_takes_precedence_over_those_that_failed_because_of_it(codes, expected):
    assert launcher._first_failure([EndedProcess(code) for code in codes]) == expected
