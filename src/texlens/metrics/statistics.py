"""How sure a score is: bootstrap intervals, and tests of the difference between two systems on the same rows.

N = rows, S = statistics that add up over rows, R = resamples.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

CONFIDENCE = 0.95
RESAMPLES = 1000
_DRAWS_AT_ONCE = 4_000_000
"""Bounds memory: 4 million draws are 64 MB of counts and indices."""


@dataclass(frozen=True)
class Interval:
    """A value with its 95% interval."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        return {"value": _plain(self.value), "low": _plain(self.low), "high": _plain(self.high)}


def resampled_sums(statistics_NS: np.ndarray, *, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Sums `[R, S]` of the rows of R resamples drawn with replacement; the same seed draws the same rows.

    Columns of several systems are resampled together, so that their difference is paired.
    """
    statistics_NS = np.asarray(statistics_NS, dtype=np.float64)
    return np.concatenate([counts @ statistics_NS for counts in _row_counts(len(statistics_NS), resamples, seed)])


def percentile_interval(value: float, resampled_R: np.ndarray) -> Interval:
    """The percentile interval (Efron and Tibshirani 1993, section 13.3) around a value."""
    edge = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(resampled_R, [edge, 100 - edge])
    return Interval(float(value), float(low), float(high))


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Two-sided p-value that two systems are right equally often, from the rows on which one alone is right."""
    discordant = only_first + only_second
    return float(binomtest(only_first, discordant, 0.5).pvalue) if discordant else 1.0


def _row_counts(rows: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each row is drawn, `[r, N]` a time until R resamples are drawn."""
    generator = np.random.default_rng(seed)
    step = max(1, _DRAWS_AT_ONCE // rows)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn = generator.integers(0, rows, size=(size, rows)) + rows * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * rows).reshape(size, rows).astype(np.float64)


def _plain(value: float) -> float:
    """Ten decimals: a sum's last bits depend on the processor, a table must not."""
    return round(float(value), 10)
