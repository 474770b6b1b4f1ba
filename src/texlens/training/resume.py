"""Continuing a run: the checkpoint to continue from, and what has changed since it was written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from texlens.core.errors import RunError
from texlens.core.run_folder import RunFolder
from texlens.rewards.own import OwnReward
from texlens.training.build import TrainContext
from texlens.training.checkpoints.folder import latest_complete
from texlens.training.checkpoints.origin import Origin, differences
from texlens.training.checkpoints.state import saved_steps

MAX_CHANGES_SHOWN = 4
OWN_REWARDS = "own_rewards"
"""Key of run.json: names and weights of `--reward`."""


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
    changes = differences(before, run.origin) | own_reward_changes(run.folder.manifest, run.own_rewards)
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


def own_reward_changes(manifest: Mapping[str, Any], own_rewards: Sequence[OwnReward]) -> dict[str, str]:
    """Rewards of the command line that differ from those that the run began with; its folder names them, and nothing
    is loaded from there."""
    before, now = manifest.get(OWN_REWARDS) or {}, {reward.name: reward.weight for reward in own_rewards}
    return {} if before == now else {"--reward": f"{before or 'none'} -> {now or 'none'}"}


def _origin_of_old_run(folder: RunFolder) -> Origin:
    """From what version 0.1 recorded: the base; its fingerprints of rows left images and prompts out."""
    return Origin(folder.manifest.get("base_fingerprint", ""), {})


def segments_with(folder: RunFolder, start: Start, step: int, date: str) -> list[dict]:
    """The manifest's segments with one more: from which step on, when, and what changed."""
    segments = folder.manifest.get("segments", [])
    return [*segments, {"from_step": step, "date": date, "changes": start.changes}]
