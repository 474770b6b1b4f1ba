"""A call in a forked child with bounds of processor time and memory, and what it came to."""

import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CPU_S = 20
WALL_S = 120
"""Longer than the processor time, since other programs may share the machine."""
ADDRESS_SPACE_BYTES = 6 << 30
MAX_GROWTH_MIB = 1500
"""Memory a call may take beyond what its parent holds."""
USED, REFUSED = 0, 2


@dataclass(frozen=True)
class Outcome:
    """`kind` is used, refused, traceback, crash, timeout or memory; `growth_mib` is beyond the parent's peak."""

    kind: str
    cpu_s: float
    growth_mib: float
    log: str

    @property
    def is_fault(self) -> bool:
        return self.kind not in ("used", "refused")


def bounded(call: Callable[[], int], log: Path) -> Outcome:
    """Runs `call` in a forked child; its exit code 2 with one line on standard error is a refusal, others are used."""
    log.unlink(missing_ok=True)
    before_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    child = os.fork()
    if child == 0:
        _child(call, log)
    _, status, usage = os.wait4(child, 0)
    cpu_s, growth_mib = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024 - before_mib
    text = log.read_text(errors="replace")
    return Outcome(_kind(status, text, growth_mib), round(cpu_s, 2), round(max(0.0, growth_mib), 1), text)


def _kind(status: int, log: str, growth_mib: float) -> str:
    if os.WIFSIGNALED(status):
        return "timeout" if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGALRM, signal.SIGKILL) else "crash"
    code = os.WEXITSTATUS(status)
    if "Traceback" in log or code == 1:
        return "traceback"
    if growth_mib > MAX_GROWTH_MIB:
        return "memory"
    return "refused" if code == REFUSED else "used"


def _child(call: Callable[[], int], log: Path) -> None:
    code = 1
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 1))
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
        signal.alarm(WALL_S)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        code = call()
    except BaseException:  # noqa: BLE001 - that is what is counted
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
