"""Starts the processes of a training on one machine and ends them together. Loads no torch.

`torchrun` does the same for several machines. Here an error is reported in one line, and the exit code is that of the
process that failed.
"""

import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

RENDEZVOUS = "TEXLENS_RENDEZVOUS"
"""Environment variable: the URL at which processes meet. Without it they use torchrun's variables."""
LAUNCHER_PIPE = "TEXLENS_LAUNCHER_PIPE"
"""Environment variable: file descriptor of a pipe that closes when the launching process ends, however it ends."""
GRACE_S = 5.0
"""How long the other processes may take to notice a failure before they get SIGTERM, and then SIGKILL."""
CTRL_C_FORWARD_S = 1.0
"""A terminal sends Ctrl-C to all processes; after this time it is forwarded to those that did not receive it."""
POLL_S = 0.05


def launch(command: Sequence[str], processes: int) -> int:
    """Runs `command` in several processes; returns the exit code of the first that failed, or 0.

    Ctrl-C and SIGTERM reach all of them, and they end when this process is killed.
    """
    with tempfile.TemporaryDirectory(prefix="texlens-") as folder, _lifetime_pipe() as pipe:
        children = [
            subprocess.Popen(
                command,
                env={**os.environ, **child_environment(rank, processes, Path(folder)), LAUNCHER_PIPE: str(pipe)},
                pass_fds=(pipe,),
            )
            for rank in range(processes)
        ]
        try:
            with _forward_sigterm(children):
                return _first_failure(children)
        finally:
            _end(children)


def child_environment(
    rank: int, processes: int, folder: Path, environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """torchrun's variables for one process of this machine, and how many threads it may use."""
    threads = max(1, (os.cpu_count() or 1) // processes)
    return {
        "RANK": str(rank),
        "WORLD_SIZE": str(processes),
        "LOCAL_RANK": str(rank),
        "LOCAL_WORLD_SIZE": str(processes),
        RENDEZVOUS: (folder / "rendezvous").as_uri(),
        "OMP_NUM_THREADS": environment.get("OMP_NUM_THREADS") or str(threads),
        "TORCH_CPP_LOG_LEVEL": environment.get("TORCH_CPP_LOG_LEVEL") or "ERROR",
    }


def end_with_launcher() -> None:
    """In a process that was launched: it ends when the launching command is killed, which can't end it itself."""
    if LAUNCHER_PIPE not in os.environ:
        return

    def wait_for_launcher() -> None:
        os.read(int(os.environ[LAUNCHER_PIPE]), 1)
        os._exit(128 + signal.SIGTERM)

    threading.Thread(target=wait_for_launcher, daemon=True).start()


@contextmanager
def _lifetime_pipe() -> Iterator[int]:
    """The read end of a pipe whose only write end is in this process."""
    read_end, write_end = os.pipe()
    try:
        yield read_end
    finally:
        os.close(read_end)
        os.close(write_end)


def _first_failure(children: Sequence[subprocess.Popen]) -> int:
    """A process ended by a signal (negative code) takes precedence over those that may have failed because of it."""
    interrupt_at = math.inf
    while True:
        codes = [child.poll() for child in children]
        failures = sorted(code for code in codes if code)
        if failures:
            return 128 - failures[0] if failures[0] < 0 else failures[0]
        if None not in codes:
            return 0
        if not _sleep(POLL_S):
            interrupt_at = time.monotonic() + CTRL_C_FORWARD_S
        if time.monotonic() > interrupt_at:
            interrupt_at = math.inf
            for child in children:
                child.send_signal(signal.SIGINT)


def _end(children: Sequence[subprocess.Popen]) -> None:
    """Waits for running processes, then sends SIGTERM, then SIGKILL."""
    for request_end in (lambda child: None, subprocess.Popen.terminate, subprocess.Popen.kill):
        running = [child for child in children if child.poll() is None]
        for child in running:
            request_end(child)
        deadline = time.monotonic() + GRACE_S
        while any(child.poll() is None for child in running) and time.monotonic() < deadline:
            _sleep(POLL_S)


def _sleep(seconds: float) -> bool:
    """False if Ctrl-C was pressed meanwhile."""
    try:
        time.sleep(seconds)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return False
    return True


@contextmanager
def _forward_sigterm(children: Sequence[subprocess.Popen]) -> Iterator[None]:
    def forward(number, frame) -> None:
        for child in children:
            child.send_signal(number)

    previous = signal.signal(signal.SIGTERM, forward)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
