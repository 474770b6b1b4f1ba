"""The processes that train one model together, one a GPU, as a launcher (`launch.py`, `torchrun`) started them.

Gradients and the like go through the default process group (NCCL between GPUs, gloo between CPUs), words and counts
through gloo, which makes no GPU wait. Where one process fails, it alone says so, and all end.
"""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from texlens.core.errors import ConfigError, RunError, TexlensError
from texlens.train.distributed.launch import LAUNCHER, MEETING

TIMEOUT = timedelta(hours=1)
"""How long one waits for the others: the main process may be reading validation rows."""
TOLD, CODE = "texlens/told", "texlens/code"
TOLD_AT_MOST = 200
"""Characters of torch's own words, whose first line says what failed."""
FIXABLE, FAULT = 2, 1
"""Exit codes of the command line."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class Processes:
    """This one among `count`. What it does with the others, all of them do in the same order.

    Args:
        local_rank, local_count: among those on this machine.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1

    @property
    def several(self) -> bool:
        return self.count > 1

    @property
    def main(self) -> bool:
        """Whether this is the one that writes files and speaks."""
        return self.rank == 0

    def gather(self, value: Value) -> list[Value]:
        """The values of all processes, in their order.

        Raises:
            RunError: another process is gone.
        """
        if not self.several:
            return [value]
        values: list[Any] = [None] * self.count
        with _others_may_be_gone():
            distributed.all_gather_object(values, value)
        return values

    def from_main(self, make: Callable[[], Value]) -> Value:
        """What `make` gives in the main process; it is called nowhere else.

        Raises:
            RunError: another process is gone.
        """
        if not self.several:
            return make()
        values = [make() if self.main else None]
        with _others_may_be_gone():
            distributed.broadcast_object_list(values, src=0)
        return values[0]  # type: ignore[return-value]

    def wait(self) -> None:
        """Until all are here."""
        self.gather(None)

    def add(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, in the tensor's place."""
        if self.several:
            with _others_may_be_gone():
                distributed.all_reduce(tensor)
        return tensor

    def same(self, tensors: Iterable[Tensor]) -> None:
        """Gives all processes the main one's values."""
        if not self.several:
            return
        with _others_may_be_gone():
            for tensor in tensors:
                distributed.broadcast(tensor.detach(), src=0)

    def check(self, device: torch.device) -> None:
        """
        Raises:
            ConfigError: it is another process's GPU.
        """
        if self.several and device.type == "cuda" and device.index not in (None, self.local_rank):
            raise ConfigError(f"model.device: {device} would be the GPU of all processes; use auto, each takes its own")

    def share(self, number: int) -> int:
        """Of what a machine has, what each of its processes may use: at least 1, but 0 of 0."""
        return max(1, number // self.local_count) if number else 0


ALONE = Processes()


@contextmanager
def joined() -> Iterator[Processes]:
    """Around all that several processes do together. Where one of them fails, it is let through as it is, and the
    others leave in silence with the same exit code. A launcher that names no place on the machine (`LOCAL_RANK`, which
    libraries read too) is taken to have one machine.

    Raises:
        ConfigError: there are more processes than GPUs, or they are not told where to meet.
    """
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    local = os.environ.setdefault("LOCAL_RANK", str(rank)), os.environ.setdefault("LOCAL_WORLD_SIZE", str(count))
    processes = Processes(rank, count, *map(int, local))
    store = distributed.PrefixStore("texlens", _met(processes))
    _end_on_sigterm(store)
    _end_with_launcher(store)
    try:
        _join(processes, store)
        yield processes
    except BaseException as error:
        code = _exit_code(error)
        others = _told_by_another(store, code)
        if others is not None:
            _leave(others)
        if isinstance(error, KeyboardInterrupt) and MEETING in os.environ:
            _leave(code)  # the command that started this one is stopped too, and says so
        atexit.register(_leave, code)
        raise
    distributed.destroy_process_group()


def _met(processes: Processes) -> "distributed.Store":
    meeting = os.environ.get(MEETING, "env://")
    try:
        return next(iter(distributed.rendezvous(meeting, processes.rank, processes.count, timeout=TIMEOUT)))[0]
    except ValueError as error:
        raise ConfigError(
            f"RANK and WORLD_SIZE tell that this is one of {processes.count} processes, but not where they meet "
            f"({error}); start with --processes or torchrun, or unset both"
        ) from error


def _join(processes: Processes, store: "distributed.Store") -> None:
    on_gpu = torch.cuda.is_available()
    if on_gpu and processes.local_count > torch.cuda.device_count():
        raise ConfigError(
            f"{processes.local_count} processes were started on a machine with {torch.cuda.device_count()} GPUs; "
            "start as many as there are GPUs (--processes)"
        )
    if on_gpu:
        torch.cuda.set_device(processes.local_rank)
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
        store=store,
        rank=processes.rank,
        world_size=processes.count,
        timeout=TIMEOUT,
    )


def _exit_code(error: BaseException) -> int:
    """As the command line has it."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else FAULT
    if isinstance(error, KeyboardInterrupt):
        return 128 + signal.SIGINT
    return FIXABLE if isinstance(error, TexlensError) else FAULT


def _told_by_another(store: "distributed.Store", code: int) -> int | None:
    """None where this process is the first to fail, else the exit code of the one that was."""
    try:
        if store.add(TOLD, 1) == 1:
            store.set(CODE, str(code))
            return None
        return int(store.get(CODE))
    except (RuntimeError, ValueError):
        return FAULT  # whoever kept the store is gone, so it failed first


def _leave(code: int) -> None:
    """At once: a library's own end might wait for collectives that will never be."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@contextmanager
def _others_may_be_gone() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        told = next(iter(str(error).splitlines()), type(error).__name__)[:TOLD_AT_MOST]
        why = "" if "by peer" in told else f" (torch tells: {told})"
        raise RunError(
            "another process of this run is gone, killed perhaps for want of memory; "
            f"`texlens train --resume RUN` goes on from the last checkpoint{why}"
        ) from error


def _end_on_sigterm(store: "distributed.Store") -> None:
    """By a thread of its own, since the main one may be waiting for a process that is gone."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def watch() -> None:
        while signal.SIGTERM not in os.read(reading, 1):
            pass
        _stop(store, "stopped")

    def in_child() -> None:
        """A forked process is not of this run, and ends by SIGTERM as any other."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    os.register_at_fork(after_in_child=in_child)
    threading.Thread(target=watch, daemon=True).start()


def _end_with_launcher(store: "distributed.Store") -> None:
    """By a thread, too: nobody else would end this process where the one that started it was killed."""
    if LAUNCHER not in os.environ:
        return

    def watch() -> None:
        os.read(int(os.environ[LAUNCHER]), 1)
        _stop(store, "stopped, since the command that started it was killed")

    threading.Thread(target=watch, daemon=True).start()


def _stop(store: "distributed.Store", how: str) -> None:
    code = 128 + signal.SIGTERM
    try:
        if _told_by_another(store, code) is None:
            print(f"texlens: {how}; `texlens train --resume RUN` goes on with a training", file=sys.stderr, flush=True)
    finally:
        os._exit(code)
