"""What a trial measured on the validation rows, and how sure a difference between two trials is.

B = batches of validation rows, or the rows that are read: the same in all trials.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from texlens.metrics.statistics import Interval, percentile_interval, resampled_sums

RESAMPLES = 2_000


@dataclass(frozen=True)
class ValidationResult:
    """The validation loss after a step, or the cost that `Ranking` makes of a score. `batches`: summed loss in nats and
    labels of each batch, or cost and 1 of each row; `progress`: the share of the trial's steps."""

    step: int
    progress: float
    batches: tuple[tuple[float, int], ...]

    @property
    def loss(self) -> float:
        """Nats per label token, or the mean cost."""
        return sum(loss for loss, _ in self.batches) / max(1, sum(labels for _, labels in self.batches))

    def interval(self, seed: int = 0) -> Interval:
        """The loss with its 95% bootstrap interval over batches."""
        sums_R2 = resampled_sums(np.array(self.batches, float), resamples=RESAMPLES, seed=seed)
        return percentile_interval(self.loss, sums_R2[:, 0] / sums_R2[:, 1])

    def to_json(self) -> dict:
        return {"step": self.step, "progress": self.progress, "batches": [list(batch) for batch in self.batches]}

    @classmethod
    def from_json(cls, value: dict) -> "ValidationResult":
        batches = tuple((float(loss), int(labels)) for loss, labels in value["batches"])
        return cls(value["step"], value["progress"], batches)


def difference(trial: ValidationResult, other: ValidationResult, seed: int = 0) -> Interval:
    """Loss of `trial` minus that of `other` with its 95% interval, from the same resamples of batches."""
    return percentile_interval(trial.loss - other.loss, _resampled_differences(trial, other, seed))


def surely_worse_by(trial: ValidationResult, other: ValidationResult, confidence: float, seed: int = 0) -> float:
    """The one-sided lower bound of the loss difference: over 0, `trial` is worse at this confidence.

    The bound is the difference minus a quantile of the normal distribution times the bootstrap's standard error, since
    the percentiles of 2,000 resamples don't reach the confidence that many comparisons ask for.
    """
    error = float(np.std(_resampled_differences(trial, other, seed), ddof=1))
    return trial.loss - other.loss - float(norm.ppf(confidence)) * error


def best_of(measurements: Sequence[ValidationResult]) -> ValidationResult:
    """The one with the lowest loss, the first of several."""
    return min(measurements, key=lambda measurement: measurement.loss)


def _resampled_differences(trial: ValidationResult, other: ValidationResult, seed: int) -> np.ndarray:
    both_B4 = np.concatenate([np.array(trial.batches, float), np.array(other.batches, float)], axis=1)
    sums_R4 = resampled_sums(both_B4, resamples=RESAMPLES, seed=seed)
    return sums_R4[:, 0] / sums_R4[:, 1] - sums_R4[:, 2] / sums_R4[:, 3]
