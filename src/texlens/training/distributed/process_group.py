"""The process group of a training: joined at the start, and left by all processes when one of them fails.

Processes are started by `launch.py` or by `torchrun`, one per GPU. When one fails, only that one reports the error,
and all of them exit with its code.
"""

import atexit
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import distributed

from texlens.core.errors import ConfigError, TexlensError, one_line
from texlens.training.distributed.context import DistributedContext
from texlens.training.distributed.launch import LAUNCHER_PIPE, RENDEZVOUS

TIMEOUT = timedelta(hours=1)
"""How long a process waits for the others: the main process may be reading validation rows."""
FAILURES, EXIT_CODE = "texlens/failures", "texlens/exit_code"
"""Keys in the group's store: how many processes have failed, and the exit code of the first."""
REPEAT_S = 3.0
"""A launcher forwards a signal that the terminal has sent as well; within this time both are one request."""
STOP_S = 300.0
"""How long a step may go on after SIGTERM."""
_graceful = threading.Event()
USER_ERROR, INTERNAL_ERROR = 2, 1
"""Exit codes of the command line."""


@contextmanager
def process_group() -> Iterator[DistributedContext]:
    """Joins the group of the launcher's environment variables for the duration of the block.

    An error of the first process to fail propagates; the others exit silently with the same code. A launcher that does
    not set `LOCAL_RANK`, which libraries read too, is assumed to use one machine.

    Raises:
        ConfigError: more processes than GPUs, or no rendezvous address.
    """
    rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    local_rank = os.environ.setdefault("LOCAL_RANK", str(rank))
    local_world_size = os.environ.setdefault("LOCAL_WORLD_SIZE", str(world_size))
    context = DistributedContext(rank, world_size, int(local_rank), int(local_world_size))
    store = distributed.PrefixStore("texlens", _rendezvous(context))
    _exit_on_sigterm(store)
    _exit_with_launcher(store)
    try:
        _join(context, store)
        yield context
    except BaseException as error:
        code = _exit_code(error)
        first_code = _code_of_earlier_failure(store, code)
        if first_code is not None:
            _exit_now(first_code)
        if isinstance(error, KeyboardInterrupt) and RENDEZVOUS in os.environ:
            _exit_now(code)  # the launching command receives Ctrl-C too and reports it
        atexit.register(_exit_now, code)
        raise
    distributed.destroy_process_group()


def _rendezvous(context: DistributedContext) -> "distributed.Store":
    url = os.environ.get(RENDEZVOUS, "env://")
    try:
        return next(iter(distributed.rendezvous(url, context.rank, context.world_size, timeout=TIMEOUT)))[0]
    except ValueError as error:
        raise ConfigError(
            f"RANK and WORLD_SIZE say that this is one of {context.world_size} processes, but not where they meet "
            f"({error}); start with --processes or torchrun, or unset both"
        ) from error


def _join(context: DistributedContext, store: "distributed.Store") -> None:
    on_gpu = torch.cuda.is_available()
    if on_gpu and context.local_world_size > torch.cuda.device_count():
        raise ConfigError(
            f"{context.local_world_size} processes were started on a machine with {torch.cuda.device_count()} GPUs; "
            "start as many as there are GPUs (--processes)"
        )
    if on_gpu:
        torch.cuda.set_device(context.local_rank)
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
        store=store,
        rank=context.rank,
        world_size=context.world_size,
        timeout=TIMEOUT,
    )


def _exit_code(error: BaseException) -> int:
    """The code that the command line exits with for this error."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else INTERNAL_ERROR
    if isinstance(error, KeyboardInterrupt):
        return 128 + signal.SIGINT
    return USER_ERROR if isinstance(error, TexlensError) else INTERNAL_ERROR


def _code_of_earlier_failure(store: "distributed.Store", code: int) -> int | None:
    """Registers a failure: None if this process is the first to fail, else the exit code of the first."""
    try:
        if store.add(FAILURES, 1) == 1:
            store.set(EXIT_CODE, str(code))
            return None
        return int(store.get(EXIT_CODE))
    except (RuntimeError, ValueError):
        return INTERNAL_ERROR  # the process that hosts the store is gone, so it failed first


def _exit_now(code: int) -> None:
    """Without the libraries' own shutdown, which may wait for collectives that never complete."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _exit_on_sigterm(store: "distributed.Store") -> None:
    """Handled in a thread, because the main thread may be waiting for a process that is gone."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)

    def wait_for_signal() -> None:
        first_at = -math.inf
        while True:
            if signal.SIGTERM not in os.read(read_end, 1):
                continue
            now = time.monotonic()
            if not _graceful.is_set() or REPEAT_S < now - first_at < math.inf:
                _exit_group(store, "stopped")
            if first_at == -math.inf:
                first_at = now
                _start_timer(STOP_S, lambda: _exit_group(store, "stopped, since the step did not end"))

    def restore_in_child() -> None:
        """A forked process does not belong to the group, and SIGTERM ends it."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    os.register_at_fork(after_in_child=restore_in_child)
    _start_thread(wait_for_signal)


def _exit_with_launcher(store: "distributed.Store") -> None:
    """Ends this process when the launching command is killed, which can't end it itself."""
    if LAUNCHER_PIPE not in os.environ:
        return

    def wait_for_launcher() -> None:
        os.read(int(os.environ[LAUNCHER_PIPE]), 1)
        _exit_group(store, "stopped, because the command that started it was killed")

    _start_thread(wait_for_launcher)


@contextmanager
def graceful_sigterm() -> Iterator[None]:
    """While the block runs, the first SIGTERM is left to the handler that ends training after its step. A second one,
    or a step that does not end within `STOP_S`, ends the group at once."""
    _graceful.set()
    try:
        yield
    finally:
        _graceful.clear()


def _start_timer(seconds: float, action: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, action)
    timer.daemon = True
    timer.start()


def _start_thread(target: Callable[[], None]) -> None:
    threading.Thread(target=target, daemon=True).start()


def _exit_group(store: "distributed.Store", reason: str) -> None:
    code = 128 + signal.SIGTERM
    try:
        if _code_of_earlier_failure(store, code) is None:
            message = f"texlens: {one_line(reason)}; `texlens train --resume RUN` continues a training"
            print(message, file=sys.stderr, flush=True)
    finally:
        os._exit(code)
