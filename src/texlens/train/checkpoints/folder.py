"""Checkpoints that are whole or not there: written aside, summed, renamed; the newest whole one is found on resume."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from texlens.core.errors import RunError
from texlens.core.files import sha256_of, swap_in, write_json

SUMS = "checksums.json"
_NAME = re.compile(r"checkpoint-(\d+)")


def seal(aside: Path, place: Path) -> None:
    """Writes checksums into the finished folder `aside` and renames it to `place`."""
    write_json(aside / SUMS, {str(path.relative_to(aside)): sha256_of(path) for path in _files(aside)})
    swap_in(aside, place)


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in `folder`, oldest step first, whole or not."""
    found = [(int(match[1]), path) for path in folder.glob("checkpoint-*") if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def fault(checkpoint: Path) -> str | None:
    """Why the checkpoint can't be used, or None when it is whole."""
    try:
        sums = json.loads((checkpoint / SUMS).read_text())
    except (OSError, ValueError):
        return f"{SUMS} is missing or damaged"
    for name, expected in sums.items():
        path = checkpoint / name
        if not path.is_file():
            return f"{name} is missing"
        if sha256_of(path) != expected:
            return f"{name} has changed since it was written"
    return None


def last_whole(folder: Path, warn: Callable[[str], None]) -> Path | None:
    """The newest whole checkpoint, or None where there is none; damaged ones are named through `warn`.

    Raises:
        RunError: there are checkpoints, and all of them are damaged.
    """
    found = checkpoints(folder)
    for checkpoint in reversed(found):
        reason = fault(checkpoint)
        if reason is None:
            return checkpoint
        warn(f"{checkpoint}: {reason}; going back to the checkpoint before it")
    if found:
        raise RunError(f"{folder}: every checkpoint is damaged; start the run anew without --resume")
    return None


def rotate(folder: Path, keep: int, best_step: int | None) -> None:
    """Removes the oldest checkpoints beyond `keep`; that of `best_step` always stays."""
    found = checkpoints(folder)
    for checkpoint in found[:-keep]:
        if checkpoint.name != f"checkpoint-{best_step}":
            shutil.rmtree(checkpoint)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
