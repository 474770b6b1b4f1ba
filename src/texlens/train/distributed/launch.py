"""Starts the processes that train together on one machine, and ends them together. It loads no torch.

`torchrun` does the same for several machines; here a fault is one line, and the exit code that of the process at fault.
"""

import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

MEETING = "TEXLENS_MEETING"
"""The environment variable with the URL where processes find each other; without it they do as torchrun says."""
LAUNCHER = "TEXLENS_LAUNCHER"
"""The environment variable with the number of a pipe that ends with this process, however it ends."""
GRACE_S = 5.0
"""How long the others may take to notice that one is gone, before they are told to stop, and then are stopped."""
CTRL_C_S = 1.0
"""A terminal sends Ctrl-C to all by itself; after so long it is passed on to those whom it did not reach."""
POLL_S = 0.05


def launch(command: Sequence[str], processes: int) -> int:
    """Runs `command` so many times, each told which it is; the exit code of the first that failed, or 0.

    Ctrl-C and SIGTERM reach all of them, and where this process is killed, they end too.
    """
    with tempfile.TemporaryDirectory(prefix="texlens-") as folder, _alive() as pipe:
        children = [
            subprocess.Popen(
                command,
                env={**os.environ, **place(rank, processes, Path(folder)), LAUNCHER: str(pipe)},
                pass_fds=(pipe,),
            )
            for rank in range(processes)
        ]
        try:
            with _passing_on_sigterm(children):
                return _first_fault(children)
        finally:
            _end(children)


def place(rank: int, processes: int, folder: Path, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What tells a process which it is among those on this machine, in the words of torchrun."""
    threads = max(1, (os.cpu_count() or 1) // processes)
    return {
        "RANK": str(rank),
        "WORLD_SIZE": str(processes),
        "LOCAL_RANK": str(rank),
        "LOCAL_WORLD_SIZE": str(processes),
        MEETING: (folder / "meeting").as_uri(),
        "OMP_NUM_THREADS": environment.get("OMP_NUM_THREADS") or str(threads),
        "TORCH_CPP_LOG_LEVEL": environment.get("TORCH_CPP_LOG_LEVEL") or "ERROR",
    }


@contextmanager
def _alive() -> Iterator[int]:
    """A pipe to read from that nobody writes to; its other end is this process's alone."""
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(reading)
        os.close(writing)


def _first_fault(children: Sequence[subprocess.Popen]) -> int:
    """One that a signal ended (a negative code) goes before those that may have ended for it."""
    interrupt_at = math.inf
    while True:
        codes = [child.poll() for child in children]
        faults = sorted(code for code in codes if code)
        if faults:
            return 128 - faults[0] if faults[0] < 0 else faults[0]
        if None not in codes:
            return 0
        if not _sleep(POLL_S):
            interrupt_at = time.monotonic() + CTRL_C_S
        if time.monotonic() > interrupt_at:
            interrupt_at = math.inf
            for child in children:
                child.send_signal(signal.SIGINT)


def _end(children: Sequence[subprocess.Popen]) -> None:
    """Waits for those that still run, asks them to stop, stops them."""
    for ask in (lambda child: None, subprocess.Popen.terminate, subprocess.Popen.kill):
        running = [child for child in children if child.poll() is None]
        for child in running:
            ask(child)
        until = time.monotonic() + GRACE_S
        while any(child.poll() is None for child in running) and time.monotonic() < until:
            _sleep(POLL_S)


def _sleep(seconds: float) -> bool:
    """False where Ctrl-C came meanwhile."""
    try:
        time.sleep(seconds)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return False
    return True


@contextmanager
def _passing_on_sigterm(children: Sequence[subprocess.Popen]):
    def pass_on(number, frame) -> None:
        for child in children:
            child.send_signal(number)

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
