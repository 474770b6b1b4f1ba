"""Checkpoints that are complete or absent: written to a staging folder, checksummed, renamed, verified on resume."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from texlens.core.errors import RunError
from texlens.core.files import sha256_of, swap_in, write_json

CHECKSUMS = "checksums.json"
REMOVED = ".removed-"
"""Prefix of a checkpoint that is being deleted."""
_NAME = re.compile(r"checkpoint-(\d+)")
_REQUIRED = {
    "trainer_state.json": r"trainer_state\.json",
    "weights": r"(adapter_)?model.*\.safetensors",
    "the optimizer's state": r"optimizer.*|.*optim.*|global_step.*",
    "random states": r"random-0\.json",
}
"""What checksums.json must list, by patterns that cover sharded states too."""


def finalize(staging: Path, checkpoint: Path) -> None:
    """Writes checksums into the finished folder `staging` and renames it to `checkpoint`."""
    write_json(staging / CHECKSUMS, {str(path.relative_to(staging)): sha256_of(path) for path in _files(staging)})
    swap_in(staging, checkpoint)


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in `folder`, lowest step first, complete or not."""
    steps = [(int(match[1]), path) for path in folder.glob("checkpoint-*") if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(steps)]


def damage(checkpoint: Path) -> str | None:
    """Why the checkpoint can't be used, or None if it is complete."""
    try:
        checksums = json.loads((checkpoint / CHECKSUMS).read_text())
    except (OSError, ValueError, RecursionError):
        return f"{CHECKSUMS} is missing or damaged"
    if not isinstance(checksums, dict):
        return f"{CHECKSUMS} is damaged"
    for title, pattern in _REQUIRED.items():
        if not any(re.fullmatch(pattern, name) for name in checksums):
            return f"{CHECKSUMS} does not list {title}"
    for name, expected in checksums.items():
        path = checkpoint / name
        if not path.resolve().is_relative_to(checkpoint.resolve()):
            return f"{CHECKSUMS} names {name}, which is outside of the checkpoint"
        if not path.is_file():
            return f"{name} is missing"
        if sha256_of(path) != expected:
            return f"{name} has changed since it was written"
    return None


def latest_complete(folder: Path, warn: Callable[[str], None]) -> Path | None:
    """The complete checkpoint of the highest step, or None; damaged ones are reported through `warn`.

    Raises:
        RunError: there are checkpoints, and all of them are damaged.
    """
    checkpoints = list_checkpoints(folder)
    for checkpoint in reversed(checkpoints):
        reason = damage(checkpoint)
        if reason is None:
            return checkpoint
        warn(f"{checkpoint}: {reason}; trying the checkpoint before it")
    if checkpoints:
        raise RunError(f"{folder}: every checkpoint is damaged; start the run again without --resume")
    return None


def prune(folder: Path, keep: int, best_step: int | None) -> None:
    """Removes the oldest checkpoints beyond `keep`; that of `best_step` always stays.

    Each is renamed before it is deleted, so that a kill leaves no incomplete checkpoint under a checkpoint's name.
    """
    for checkpoint in list_checkpoints(folder)[:-keep]:
        if checkpoint.name != f"checkpoint-{best_step}":
            os.replace(checkpoint, folder / f"{REMOVED}{checkpoint.name}")
    for removed in folder.glob(f"{REMOVED}*"):
        shutil.rmtree(removed, ignore_errors=True)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != CHECKSUMS)
