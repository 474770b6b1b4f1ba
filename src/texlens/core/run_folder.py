"""The run folder: where everything about one run lies, and the lock that keeps two processes out of it.

config.yaml        as resolved, defaults included
run.json           state, times, what was trained and how well it did (the manifest)
environment.json   versions, machine, commit
data.json          rows in = rows kept + rows refused, with reasons; fingerprint
metrics.jsonl      one line a measurement
loss.png
checkpoints/checkpoint-N/
adapter/           the best adapter so far, as PEFT saves it, with texlens.json beside
predictions/SPLIT.SYSTEM.jsonl
scores/SPLIT.SYSTEM.json, scores/compare.SPLIT.json
report.html
"""

import contextlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from texlens.core.errors import RunError
from texlens.core.files import write_json

MANIFEST = "run.json"
CONFIG = "config.yaml"


class RunFolder:
    """Paths of one run, and its manifest."""

    def __init__(self, path: Path):
        self.path = path
        self.config = path / CONFIG
        self.metrics = path / "metrics.jsonl"
        self.checkpoints = path / "checkpoints"
        self.adapter = path / "adapter"
        self.report = path / "report.html"
        self.loss_plot = path / "loss.png"

    def predictions(self, split: str, system: str) -> Path:
        return self.path / "predictions" / f"{split}.{system}.jsonl"

    def scores(self, split: str, system: str) -> Path:
        return self.path / "scores" / f"{split}.{system}.json"

    def comparison(self, split: str) -> Path:
        return self.path / "scores" / f"compare.{split}.json"

    @classmethod
    def create(cls, output: Path, name: str) -> "RunFolder":
        """A new folder `output/name`, or `name-2`, `name-3`, … where that is taken."""
        for number in range(1, 10_000):
            path = output / (name if number == 1 else f"{name}-{number}")
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                continue
            folder = cls(path)
            folder.update(name=path.name, state="new", created=_now())
            return folder
        raise RunError(f"{output}: too many runs named {name}; choose another name")

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """
        Raises:
            RunError: not a run folder.
        """
        if not (path / MANIFEST).is_file():
            raise RunError(f"{path}: not a run folder (no {MANIFEST} in it); `texlens runs` lists them")
        return cls(path)

    @property
    def manifest(self) -> dict[str, Any]:
        told = self.read_json(MANIFEST)
        if told is not None and not isinstance(told, dict):
            raise RunError(f"{self.path / MANIFEST}: damaged (no object in it); restore it or start a new run")
        return told or {}

    def update(self, **facts: Any) -> None:
        """Lays `facts` over the manifest."""
        write_json(self.path / MANIFEST, {**self.manifest, **facts, "updated": _now()})

    def read_json(self, name: str) -> Any:
        """A JSON file of the folder, or None where it is absent.

        Raises:
            RunError: it is damaged.
        """
        path = self.path / name
        if not path.is_file():
            return None
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise RunError(f"{path}: damaged ({error}); restore it or start a new run") from None

    def history(self) -> list[dict]:
        """The lines of metrics.jsonl; a last line cut short by a kill is left out."""
        if not self.metrics.is_file():
            return []
        rows = []
        for line in self.metrics.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError):
                rows.append(json.loads(line))
        return rows

    @contextmanager
    def locked(self) -> Iterator["RunFolder"]:
        """Keeps other processes out while the block runs; the lock dies with the process.

        Raises:
            RunError: another process holds it.
        """
        with (self.path / ".lock").open("a+") as file:
            if not _try_lock(file):
                file.seek(0)
                raise RunError(f"{self.path}: in use by process {file.read().strip() or '?'}; wait for it or stop it")
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield self


def list_runs(output: Path) -> list[RunFolder]:
    """Run folders in `output`, newest last; those whose manifest is damaged go first."""
    found = [RunFolder(path.parent) for path in sorted(output.glob(f"*/{MANIFEST}"))]

    def created(run: RunFolder) -> str:
        try:
            return run.manifest.get("created", "")
        except RunError:
            return ""

    return sorted(found, key=created)


def _try_lock(file) -> bool:
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
