"""Processes are started and ended together; these load no torch."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from texlens.train.distributed import launch as launcher
from texlens.train.distributed.launch import launch, place

WAITS = "import os, sys, time; rank = int(os.environ['RANK']); "


def python(code: str) -> list[str]:
    return [sys.executable, "-c", WAITS + code]


def test_each_is_told_which_it_is(tmp_path):
    told = place(1, 2, tmp_path, {"OMP_NUM_THREADS": "3"})
    assert [told[name] for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")] == ["1", "2", "1", "2"]
    assert told["TEXLENS_MEETING"] == place(0, 2, tmp_path)["TEXLENS_MEETING"]
    assert told["OMP_NUM_THREADS"] == "3"
    assert int(place(0, 2, tmp_path, {})["OMP_NUM_THREADS"]) >= 1


def test_all_that_end_well_are_waited_for(tmp_path):
    assert launch(python(f"time.sleep(rank / 5); open(r'{tmp_path}/' + str(rank), 'w').close()"), 2) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]


def test_one_that_fails_ends_the_others_with_its_code(monkeypatch):
    monkeypatch.setattr(launcher, "GRACE_S", 0.2)
    assert launch(python("time.sleep(300) if rank == 0 else sys.exit(2)"), 2) == 2
    assert launch(python("time.sleep(300) if rank else os.kill(os.getpid(), 9)"), 2) == 128 + 9


def test_one_that_does_not_stop_when_asked_is_stopped(monkeypatch):
    monkeypatch.setattr(launcher, "GRACE_S", 0.3)
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300) if rank else sys.exit(3)"
    assert launch(python(deaf), 2) == 3


def test_a_signal_reaches_all(tmp_path):
    def ask() -> None:
        while len(list(tmp_path.iterdir())) < 2:
            time.sleep(0.02)
        signal.raise_signal(signal.SIGTERM)

    threading.Thread(target=ask, daemon=True).start()
    before = signal.getsignal(signal.SIGTERM)
    code = python(f"open(r'{tmp_path}/' + str(rank), 'w').close(); time.sleep(300)")
    assert launch(code, 2) == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before


def test_ctrl_c_is_passed_on_to_those_whom_it_did_not_reach(tmp_path, monkeypatch):
    monkeypatch.setattr(launcher, "CTRL_C_S", 0.1)

    def ask() -> None:
        while len(list(tmp_path.iterdir())) < 2:
            time.sleep(0.02)
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=ask, daemon=True).start()
    code = python(f"open(r'{tmp_path}/' + str(rank), 'w').close(); time.sleep(300)")
    assert launch(code, 2) == 128 + signal.SIGINT


def test_where_the_launcher_is_killed_the_others_are_told(tmp_path):
    waits = f"name = r'{tmp_path}/' + str(rank); open(name, 'w').close(); "
    waits += "os.read(int(os.environ['TEXLENS_LAUNCHER']), 1); os.remove(name)"
    starts = f"from texlens.train.distributed.launch import launch; launch({python(waits)!r}, 2)"
    killed = subprocess.Popen([sys.executable, "-c", starts])
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    killed.kill()
    killed.wait()
    wait_until(lambda: not list(tmp_path.iterdir()))


def wait_until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 300
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


class Ended:
    def __init__(self, code: int):
        self.code = code

    def poll(self) -> int:
        return self.code


@pytest.mark.parametrize(("codes", "expected"), [((2, -9), 137), ((0, 2), 2), ((0, 0), 0)])
def test_one_that_was_killed_goes_before_those_that_ended_for_it(codes, expected):
    assert launcher._first_fault([Ended(code) for code in codes]) == expected
