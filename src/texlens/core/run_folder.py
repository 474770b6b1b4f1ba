"""The run folder: the files of one run, and the lock that keeps two processes out of it.

config.yaml        as resolved, defaults included
run.json           state, times, what was trained and how well it did (the manifest)
environment.json   versions, machine, commit
data.json          rows in = rows kept + rows rejected, with reasons; fingerprint
metrics.jsonl      one line per measurement
loss.png
log.txt            what the training reported, with times
samples/           the first validation rows as read at each validation, with pictures
checkpoints/checkpoint-N/
adapter/           the best adapter so far, as PEFT saves it, with texlens.json
predictions/LABEL.SYSTEM.jsonl, and what made them in LABEL.SYSTEM.json
scores/LABEL.SYSTEM.json, compare.LABEL.json, overlap.LABEL.json
report.html, report.LABEL.html

LABEL is the split for the run's own rows and settings, and longer for others (evaluation/result_label.py); results
that a newer measurement replaces are moved to `previous/` in their folder.
"""

import contextlib
import errno
import glob
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from texlens.core.errors import RunError
from texlens.core.files import write_json, write_text
from texlens.core.locks import try_lock

MANIFEST = "run.json"
CONFIG = "config.yaml"
LOCK_TRIES = 5
LOCK_WAIT_S = 0.02


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
        self.log = path / "log.txt"
        self.samples = path / "samples"

    def predictions(self, label: str, system: str) -> Path:
        return self.path / "predictions" / f"{label}.{system}.jsonl"

    def scores(self, label: str, system: str) -> Path:
        return self.path / "scores" / f"{label}.{system}.json"

    def comparison(self, label: str) -> Path:
        return self.path / "scores" / f"compare.{label}.json"

    def overlap(self, label: str) -> Path:
        return self.path / "scores" / f"overlap.{label}.json"

    def report_of(self, label: str) -> Path:
        """report.html for the run's own test rows, report.LABEL.html for others."""
        return self.report if label == "test" else self.path / f"report.{label}.html"

    def comparisons(self) -> dict[str, Path]:
        """Stored comparisons by label, the run's own test rows first."""
        paths = {path.name[len("compare.") : -len(".json")]: path for path in self.path.glob("scores/compare.*.json")}
        return dict(sorted(paths.items(), key=lambda item: (item[0] != "test", item[0])))

    def archive(self, *paths: Path) -> None:
        """Moves files into `previous/` next to them, under their names and a number, so that nothing is lost.

        The first file is moved last, and its number is free: after a kill in between, the next call completes the move.
        """
        for number in range(1, 10_000):
            moved = [path.parent / "previous" / f"{path.stem}.{number}{path.suffix}" for path in paths]
            if not moved[0].exists():
                break
        for path, target in reversed(list(zip(paths, moved, strict=True))):
            if path.is_file():
                target.parent.mkdir(exist_ok=True)
                path.replace(target)

    def previous(self, path: Path) -> list[Path]:
        """What `archive` moved away of that name, oldest first."""
        return sorted((path.parent / "previous").glob(f"{glob.escape(path.stem)}.*{path.suffix}"))

    @classmethod
    def create(cls, output: Path, name: str, config: str = "") -> "RunFolder":
        """A new folder `output/name`, or `name-2`, `name-3`, … where that is taken.

        It appears complete, with `config` as its config.yaml, so that a run killed at any moment can be resumed.
        """
        if output.exists() and not output.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(output))
        output.mkdir(parents=True, exist_ok=True)
        staging = cls(Path(tempfile.mkdtemp(prefix=f".{name}.", dir=output)))
        staging.path.chmod(0o777 & ~_umask())
        if config:
            write_text(staging.config, config)
        for number in range(1, 10_000):
            path = output / (name if number == 1 else f"{name}-{number}")
            if path.exists():
                continue
            write_json(staging.path / MANIFEST, {"name": path.name, "state": "new", "created": _now()})
            try:
                os.rename(staging.path, path)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.EACCES):
                    raise
                continue
            return cls(path)
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
        manifest = self.read_json(MANIFEST)
        if manifest is not None and not isinstance(manifest, dict):
            raise RunError(f"{self.path / MANIFEST}: damaged (no object in it); restore it or start a new run")
        return manifest or {}

    @property
    def state(self) -> str:
        """The manifest's state; a run that is recorded as training, but whose process is gone, is `interrupted`."""
        state = str(self.manifest.get("state", ""))
        return "interrupted" if state in ("new", "training") and not self.is_locked else state

    @property
    def is_locked(self) -> bool:
        """Whether a process works in the folder; others that ask at the same moment don't count as one."""
        try:
            with (self.path / ".lock").open("r+") as file:
                return not try_lock(file, shared=True)
        except OSError:
            return False

    @property
    def process(self) -> int | None:
        """The number of the process that works in the folder, or None."""
        with contextlib.suppress(OSError, ValueError):
            return int((self.path / ".lock").read_text()) if self.is_locked else None
        return None

    def check_exists(self) -> None:
        """
        Raises:
            RunError: the folder was deleted or moved.
        """
        if not (self.path / MANIFEST).is_file():
            raise RunError(f"{self.path}: the run folder was deleted or moved while the run was going on")

    def update(self, **fields: Any) -> None:
        """Sets fields of the manifest and keeps the others."""
        write_json(self.path / MANIFEST, {**self.manifest, **fields, "updated": _now()})

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
        except (ValueError, RecursionError) as error:
            raise RunError(f"{path}: damaged ({error}); restore it or start a new run") from None

    def read_object(self, name: str) -> dict[str, Any]:
        """A JSON object of the folder, {} where it is absent.

        Raises:
            RunError: it is damaged.
        """
        return self._of_type(name, dict)

    def read_list(self, name: str) -> list[dict[str, Any]]:
        """A JSON list of objects, [] where it is absent.

        Raises:
            RunError: it is damaged.
        """
        rows = self._of_type(name, list)
        if not all(isinstance(row, dict) for row in rows):
            raise RunError(f"{self.path / name}: damaged (an entry is no object); restore it or start a new run")
        return rows

    def _of_type(self, name: str, kind: type) -> Any:
        value = self.read_json(name)
        if value is not None and not isinstance(value, kind):
            raise RunError(f"{self.path / name}: damaged (no {kind.__name__} in it); restore it or start a new run")
        return value or kind()

    def history(self) -> list[dict]:
        """The lines of metrics.jsonl; a damaged one, such as the last after a SIGKILL, is left out."""
        if not self.metrics.is_file():
            return []
        rows = []
        for line in self.metrics.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError, RecursionError):
                rows.append(json.loads(line))
        return [row for row in rows if isinstance(row, dict)]

    @contextmanager
    def locked(self) -> Iterator["RunFolder"]:
        """Keeps other processes out while the block runs; the lock dies with the process.

        Raises:
            RunError: another process holds it.
        """
        with (self.path / ".lock").open("a+") as file:
            if not _lock_patiently(file):
                file.seek(0)
                raise RunError(f"{self.path}: in use by process {file.read().strip() or '?'}; wait for it or stop it")
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield self


def list_runs(output: Path) -> list[RunFolder]:
    """Run folders in `output`, newest last; those whose manifest is damaged go first."""
    runs = [RunFolder(path.parent) for path in sorted(output.glob(f"*/{MANIFEST}"))]

    def created(run: RunFolder) -> str:
        try:
            return str(run.manifest.get("created", ""))
        except RunError:
            return ""

    return sorted(runs, key=created)


def _lock_patiently(file: IO[str]) -> bool:
    """Another process that asks for the run's state (`is_locked`) holds the lock for less than a millisecond."""
    for _ in range(LOCK_TRIES):
        if try_lock(file):
            return True
        time.sleep(LOCK_WAIT_S)
    return False


def _umask() -> int:
    """The process's mask of permissions, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
