"""Commands that a board starts: ordinary processes of a session of their own, which outlive the board.

Each has a folder: `job.json` (command, process, time), `output.log`, `exit.json` once the board saw it end, and the
files that it was started with.
"""

import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from texlens.core.errors import RunError
from texlens.core.files import write_json, write_text
from texlens.core.language import LANGUAGE_VARIABLE, is_chinese
from texlens.core.own_process import module_command

TEXLENS = tuple(module_command("texlens"))
"""How a process of this environment runs the command `texlens`."""
_JOB = "job.json"


@dataclass(frozen=True)
class Job:
    """`kind` says what it does: train, compare, …; `started` is seconds since 1970 of the process `pid`."""

    id: str
    kind: str
    command: tuple[str, ...]
    pid: int
    started: float
    folder: Path

    @property
    def output(self) -> Path:
        return self.folder / "output.log"

    @property
    def is_running(self) -> bool:
        """Whether the process is alive; its number may belong to another one by now, so its start is compared."""
        try:
            process = psutil.Process(self.pid)
            is_same = abs(process.create_time() - self.started) < 1
            return is_same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    @property
    def exit_code(self) -> int | None:
        """None while it runs, and where no board saw it end."""
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
            return int(json.loads((self.folder / "exit.json").read_text())["exit_code"])
        return None

    def to_json(self) -> dict[str, Any]:
        value = {key: value for key, value in asdict(self).items() if key != "folder"}
        return value | {"is_running": self.is_running, "exit_code": self.exit_code}


def start_job(
    state: Path, kind: str, command: Callable[[Path], Sequence[str]], files: Mapping[str, str] | None = None
) -> Job:
    """Starts a process and returns at once; it prints in the language of the page that asked for it.

    Args:
        state: `Workspace.state`.
        command: from the job's folder, where `files` are, to the command line.
        files: texts by name.

    Raises:
        RunError: the process can't be started.
    """
    folder = _new_folder(state, kind)
    for name, text in (files or {}).items():
        write_text(folder / name, text)
    words = tuple(command(folder))
    with (folder / "output.log").open("ab") as output:
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, LANGUAGE_VARIABLE: "zh" if is_chinese() else "en"},
            )
        except OSError as error:
            raise RunError(f"{words[0]}: can't be started ({error.strerror or error})") from error
    job = Job(folder.name, kind, words, process.pid, _created(process.pid), folder)
    write_json(folder / _JOB, {key: value for key, value in asdict(job).items() if key != "folder"})
    threading.Thread(target=_record_end, args=(process, folder), daemon=True).start()
    return job


def list_jobs(state: Path) -> list[Job]:
    """Oldest first; a folder without a readable record is left out."""
    jobs = [_read(path.parent) for path in sorted((state / "jobs").glob(f"*/{_JOB}"))]
    return [job for job in jobs if job is not None]


def find_job(state: Path, name: str) -> Job:
    """
    Raises:
        RunError: no such job.
    """
    job = next((job for job in list_jobs(state) if job.id == name), None)
    if job is None:
        raise RunError(f"{name}: no such process of this board")
    return job


def _read(folder: Path) -> Job | None:
    try:
        record = json.loads((folder / _JOB).read_text(encoding="utf-8"))
        command = tuple(str(word) for word in record["command"])
        return Job(folder.name, str(record["kind"]), command, int(record["pid"]), float(record["started"]), folder)
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _new_folder(state: Path, kind: str) -> Path:
    """Its name sorts by time; two boards that start something in the same second get two folders."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    for number in range(1, 1000):
        folder = state / "jobs" / f"{stamp}-{number:03}-{kind}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise RunError(f"{state}: too many processes in one second; try again")


def _created(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return datetime.now(UTC).timestamp()


def _record_end(process: subprocess.Popen, folder: Path) -> None:
    code = process.wait()
    with contextlib.suppress(OSError):  # the folder may be gone by then
        write_json(folder / "exit.json", {"exit_code": code, "board": os.getpid()})
