"""Which trained weights of a run are meant: the best adapter, the latest checkpoint, or the one of a step."""

import re
from pathlib import Path

from texlens.core.errors import RunError
from texlens.core.run_folder import MANIFEST, RunFolder

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


def trained_weights(run: RunFolder, checkpoint: str | int | None = None) -> Path:
    """The folder of a run's adapter, or of weights that were trained in full.

    Args:
        checkpoint: None or `best` for the best adapter, `latest`, or a step such as 62.

    Raises:
        RunError: the run has no such checkpoint, or no adapter yet.
    """
    name = "best" if checkpoint is None else str(checkpoint)
    if name == "best":
        if not run.adapter.is_dir():
            raise RunError(f"{run.path}: no adapter in it; train it first, `texlens train --resume {run.path}`")
        return run.adapter
    steps = checkpoint_steps(run)
    if name == "latest" and steps:
        return run.checkpoints / f"checkpoint-{steps[-1]}"
    if name.isdecimal() and int(name) in steps:
        return run.checkpoints / f"checkpoint-{int(name)}"
    available = f"it has {', '.join(map(str, steps))}" if steps else "it has none"
    raise RunError(f"{run.path}: no checkpoint {name}; {available}; use best, latest or a step")


def open_run_at(path: Path, checkpoint: str | int | None = None) -> RunFolder:
    """The run of a run folder or of one of its checkpoints; its `adapter` is the trained weights that were named.

    Raises:
        RunError: neither, or no such checkpoint.
    """
    if (path / MANIFEST).is_file() or checkpoint is not None:
        run = RunFolder.open(path)
        if checkpoint is not None:
            run.adapter = trained_weights(run, checkpoint)
        return run
    run = run_of_weights(path) or RunFolder.open(path)
    run.adapter = path
    return run


def checkpoint_steps(run: RunFolder) -> list[int]:
    """Steps of the checkpoints on disk, ascending."""
    names = (path.name for path in run.checkpoints.glob("checkpoint-*") if path.is_dir())
    return sorted(int(match[1]) for name in names if (match := _CHECKPOINT.fullmatch(name)))


def run_of_weights(folder: Path) -> RunFolder | None:
    """The run that a folder `RUN/adapter` or `RUN/checkpoints/checkpoint-N` belongs to, None for other folders."""
    folder = folder.resolve()
    if folder.name == "adapter":
        root = folder.parent
    elif _CHECKPOINT.fullmatch(folder.name) and folder.parent.name == "checkpoints":
        root = folder.parent.parent
    else:
        return None
    return RunFolder(root) if (root / MANIFEST).is_file() else None
