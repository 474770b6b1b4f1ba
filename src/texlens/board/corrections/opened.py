"""Folders of images that the page of corrections opened, and the processes that read and train in them."""

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from texlens.board.jobs import TEXLENS, Job, list_jobs, start_job
from texlens.board.last_used import LastUsed
from texlens.board.remembered import Remembered
from texlens.board.runs.appended_file import Position, part_since
from texlens.board.workspace import Workspace
from texlens.core.errors import RunError

if TYPE_CHECKING:
    from texlens.workflows.learn.session import LearnSession

KIND = "learn"
"""Of the processes."""
MAX_OPEN = 4
_LOG_BYTES = 4_000


@dataclass
class OpenedFolder:
    """One thread at a time uses the session."""

    session: "LearnSession"
    lock: threading.Lock = field(default_factory=threading.Lock)


class OpenedFolders:
    """By key; the last few are held open."""

    def __init__(self, workspace: Workspace):
        self._workspace = workspace
        self._remembered = Remembered(workspace.state / "learn.json")
        self._open: LastUsed[str, OpenedFolder] = LastUsed(MAX_OPEN)
        self._starting = threading.Lock()

    def open(self, folder: Path, model: str | None = None, second: str | None = None) -> str:
        """The key of a folder; the first call decides by which model it is read.

        Raises:
            DataError: no image there.
            ConfigError: another model than the folder began with.
        """
        from texlens.workflows.learn.session import LearnSession

        folder = folder.expanduser().absolute()
        session = LearnSession(folder, model=model or None, second=second or None)
        key = self._remembered.add({"folder": str(folder)})
        opened = self._open.get(key, lambda: OpenedFolder(session))
        with opened.lock:
            opened.session.images = session.images
        return key

    def get(self, key: str) -> OpenedFolder:
        """
        Raises:
            RunError: not opened before.
            DataError: it is gone.
        """
        from texlens.workflows.learn.session import LearnSession

        return self._open.get(key, lambda: OpenedFolder(LearnSession(Path(self._remembered.get(key)["folder"]))))

    def known(self) -> list[dict[str, Any]]:
        return self._remembered.entries()

    def new_folder(self, name: str) -> Path:
        """A folder for pictures that are uploaded, below the board's own."""
        return self._workspace.state / "pictures" / name

    def start(self, key: str, options: list[str]) -> Job:
        """`texlens learn FOLDER`, as a process that outlives the board.

        Raises:
            RunError: one works in the folder already.
        """
        folder = str(self.get(key).session.folder.images)
        with self._starting:
            job = self.job(folder)
            if job is not None and job.is_running:
                raise RunError(f"{folder}: process {job.pid} reads or trains here; wait for it or stop it")
            return start_job(self._workspace.state, KIND, lambda _: [*TEXLENS, "learn", folder, *options])

    def job(self, folder: str) -> Job | None:
        """The last process in a folder."""
        jobs = [job for job in list_jobs(self._workspace.state) if job.kind == KIND and folder in job.command]
        return jobs[-1] if jobs else None


def job_json(job: Job | None) -> dict[str, Any] | None:
    """With the end of what it printed."""
    if job is None:
        return None
    lines = part_since(job.output, Position(), _LOG_BYTES).lines
    return {**job.to_json(), "log": "".join(f"{line}\n" for line in lines)}
