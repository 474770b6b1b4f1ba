"""The process of a run: which one it is, what it printed, how it is stopped and resumed."""

import contextlib
import os
import signal
from pathlib import Path

import psutil

from texlens.board.jobs import TEXLENS, Job, list_jobs, start_job
from texlens.core.errors import RunError
from texlens.core.run_folder import RunFolder


def job_of(run: RunFolder, state: Path) -> Job | None:
    """The process, started by a board, that last worked in the run; a distributed training works in a child of it."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((run.path / ".lock").read_text())
        processes = {pid, *_parents(pid)}
        return next((job for job in reversed(list_jobs(state)) if job.pid in processes), None)
    return None


def stop_run(run: RunFolder) -> int:
    """Asks the training to end after the step under way, with a checkpoint; returns its process.

    Raises:
        RunError: no process works in the run.
    """
    pid = run.process
    if pid is None:
        raise RunError(f"{run.path.name}: no process works in this run, so there is none to stop")
    try:
        os.kill(pid, signal.SIGTERM)
    except OSError as error:
        raise RunError(f"{run.path.name}: process {pid} can't be stopped ({error.strerror})") from None
    return pid


def resume_run(run: RunFolder, state: Path) -> Job:
    """Starts `texlens train --resume RUN`.

    Raises:
        RunError: a process works in the run already.
    """
    if run.is_locked:
        raise RunError(f"{run.path.name}: process {run.process or '?'} works in this run; stop it first")
    return start_job(state, "resume", lambda folder: [*TEXLENS, "train", "--resume", str(run.path)])


def _parents(pid: int) -> list[int]:
    try:
        return [process.pid for process in psutil.Process(pid).parents()]
    except psutil.Error:
        return []
