"""Optimizer steps of a run, and the rows of each, from its settings."""

import math

from texlens.config.train import TrainSettings
from texlens.core.errors import ConfigError


def steps_per_epoch(rows: int, batch_size: int, accumulation: int) -> int:
    """Optimizer steps of one pass; a last step with fewer batches counts."""
    return max(1, math.ceil(math.ceil(rows / batch_size) / accumulation))


def planned_steps(settings: TrainSettings, rows: int) -> int:
    """Optimizer steps of the whole run."""
    if settings.steps:
        return settings.steps
    per_epoch = steps_per_epoch(rows, settings.batch_size, settings.accumulation)
    return max(1, math.ceil(per_epoch * (settings.epochs or 1.0)))


def rows_and_passes(settings: TrainSettings, processes: int = 1) -> tuple[int, int]:
    """Rows of a forward pass and passes of a step in each process, where rows are not packed.

    Example:
        batch_size 8, accumulation 1, among 2 -> (4, 1); 4 and 4, among 2 -> (4, 2)

    Raises:
        ConfigError: the rows of a step can't be shared evenly.
    """
    step = settings.batch_size * settings.accumulation
    if step % processes:
        raise ConfigError(
            f"train.batch_size x train.accumulation is {step}, and {processes} processes of the plain engine can't "
            f"share so many rows; make it a multiple of {processes}"
        )
    rows = max(size for size in range(1, settings.batch_size + 1) if step // processes % size == 0)
    return rows, step // processes // rows
