"""Optimizer steps of a run and the rows of each, from its settings."""

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
    per_epoch = steps_per_epoch(rows, settings.batch_size, settings.gradient_accumulation)
    return max(1, math.ceil(per_epoch * (settings.epochs or 1.0)))


def rows_and_batches(settings: TrainSettings, processes: int = 1) -> tuple[int, int]:
    """Rows of a batch and batches of a step in each process, for the plain backend.

    Example:
        batch_size 8, gradient_accumulation 1, 2 processes -> (4, 1); 4 and 4, 2 processes -> (4, 2)

    Raises:
        ConfigError: the rows of a step can't be divided evenly.
    """
    step = settings.batch_size * settings.gradient_accumulation
    if step % processes:
        raise ConfigError(
            f"train.batch_size x train.gradient_accumulation is {step}, which {processes} processes of the plain "
            f"backend can't share evenly; make it a multiple of {processes}"
        )
    rows = max(size for size in range(1, settings.batch_size + 1) if step // processes % size == 0)
    return rows, step // processes // rows
