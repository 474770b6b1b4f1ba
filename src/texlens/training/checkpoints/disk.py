"""Foresees a full disk: the adapter, checkpoints and report of a run, before it trains."""

import shutil
from pathlib import Path

from texlens.adapters.plan import AdapterPlan
from texlens.core.errors import RunError

STATE_BYTES = 4 * 2**20
"""Tokenizer, random states and JSON files of an adapter or checkpoint folder."""
REPORT_BYTES = 16 * 2**20
"""Predictions, scores, plots and report."""
MIB = 2**20


def needed_bytes(
    plan: AdapterPlan,
    *,
    keep: int,
    checkpoint_parameters: int = 0,
    optimizer_bytes: int = 8,
    keeps_start: bool = False,
) -> int:
    """Bytes that a run writes at most.

    Args:
        keep: checkpoints that stay; one more is written before the oldest is removed, and the best always stays.
        checkpoint_parameters: of the model, where a complete checkpoint is saved instead of an adapter.
        optimizer_bytes: of the optimizer's state for each trained parameter.
        keeps_start: the weights that training began with are saved too.
    """
    weights = 4 * max(plan.trainable, checkpoint_parameters) + STATE_BYTES
    checkpoint = weights + optimizer_bytes * plan.trainable
    return (2 + keeps_start) * weights + (keep + 2) * checkpoint + REPORT_BYTES


def check_free_space(folder: Path, needed: int) -> None:
    """
    Args:
        folder: of the run; what it contains already counts as written.

    Raises:
        RunError: the disk is too small.
    """
    written = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    free = shutil.disk_usage(folder).free
    if needed - written > free:
        raise RunError(
            f"{folder}: the run will write about {(needed - written) // MIB:,} MiB there, {free // MIB:,} are free; "
            "free some space, set output to another disk, or lower train.checkpoints.keep"
        )
