"""Continuing a run: the checkpoint to continue from, and what has changed since it was written."""

from dataclasses import dataclass, field
from pathlib import Path

from texlens.core.errors import RunError
from texlens.core.run_folder import RunFolder
from texlens.training.build import TrainContext
from texlens.training.checkpoints.folder import latest_complete
from texlens.training.checkpoints.origin import Origin, differences
from texlens.training.checkpoints.state import saved_steps

MAX_CHANGES_SHOWN = 4


@dataclass(frozen=True)
class Start:
    """Where training begins.

    Args:
        checkpoint: None is the first step.
        changes: what differs from the checkpoint's origin, accepted by the user.
        finished: the checkpoint is the end of the training, and there is nothing left to train.
    """

    checkpoint: Path | None = None
    changes: dict[str, str] = field(default_factory=dict)
    finished: bool = False


def find_start(run: TrainContext, accept_changes: bool) -> Start:
    """The latest complete checkpoint of the run.

    Raises:
        RunError: every checkpoint is damaged; or data, base or settings have changed and that is not accepted.
    """
    checkpoint = latest_complete(run.folder.checkpoints, run.warn)
    if checkpoint is None:
        run.report("no checkpoint yet: starting from the first step")
        return Start()
    before = Origin.read(checkpoint)
    if before is None:
        before = _origin_of_old_run(run.folder)
        run.warn(f"note: {checkpoint.name} is of version 0.1, whose fingerprints of rows can't be compared")
    changes = differences(before, run.origin)
    shown = "; ".join(f"{name}: {change}" for name, change in list(changes.items())[:MAX_CHANGES_SHOWN])
    more = len(changes) - MAX_CHANGES_SHOWN
    shown += f"; and {more} more" if more > 0 else ""
    if changes and not accept_changes:
        raise RunError(
            f"{checkpoint}: trained with other data, base or settings ({shown}); restore them, or continue with the "
            "new ones: add --accept-changes"
        )
    if changes:
        run.warn(f"note: continuing with changes since {checkpoint.name}: {shown}")
    steps, max_steps = saved_steps(checkpoint)
    is_finished = before.finished or bool(max_steps and steps >= max_steps)
    return Start(checkpoint, changes, is_finished and not changes)


def _origin_of_old_run(folder: RunFolder) -> Origin:
    """From what version 0.1 recorded: the base; its fingerprints of rows left images and prompts out."""
    return Origin(folder.manifest.get("base_fingerprint", ""), {})


def segments_with(folder: RunFolder, start: Start, step: int, date: str) -> list[dict]:
    """The manifest's segments with one more: from which step on, when, and what changed."""
    segments = folder.manifest.get("segments", [])
    return [*segments, {"from_step": step, "date": date, "changes": start.changes}]
