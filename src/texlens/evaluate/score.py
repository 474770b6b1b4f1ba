"""Scores of one system: each row's values, and the totals with their 95% intervals.

N = rows, S = statistics of all metrics side by side.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from texlens.core.errors import DataError
from texlens.core.prediction import Prediction
from texlens.evaluate.metrics import METRICS, Metric, Reading
from texlens.evaluate.statistics import RESAMPLES, Interval, percentile_interval, resampled_sums


@dataclass(frozen=True)
class RowScore:
    """One row's values by metric name (corpus metrics have none), and its count of token edits."""

    id: str
    edits: int
    values: Mapping[str, float]

    @property
    def exact(self) -> bool:
        return self.values["exact_match"] == 1.0


@dataclass(frozen=True)
class Scores:
    """Totals of one system; `failed` counts the rows without a text, which scored 0."""

    rows: int
    values: Mapping[str, Interval]
    failed: int = 0

    def to_json(self) -> dict:
        scores = {name: interval.to_json() for name, interval in self.values.items()}
        return {"rows": self.rows, "failed": self.failed, "scores": scores}


@dataclass(frozen=True)
class Table:
    """The rows of one system sorted by id, so that no score depends on the order in which they came."""

    readings: Sequence[Reading]
    statistics_NS: np.ndarray  # noqa: N815

    @classmethod
    def of(cls, predictions: Sequence[Prediction]) -> "Table":
        readings = [Reading.of(prediction) for prediction in sorted(predictions, key=lambda row: row.id)]
        rows = [[value for metric in METRICS for value in metric.statistics(reading)] for reading in readings]
        return cls(readings, np.asarray(rows, dtype=np.float64))

    def where(self, keep: Sequence[int]) -> "Table":
        return Table([self.readings[index] for index in keep], self.statistics_NS[list(keep)])

    def row_scores(self) -> list[RowScore]:
        return [_row_score(reading, row) for reading, row in zip(self.readings, self.statistics_NS, strict=True)]


def score_rows(predictions: Sequence[Prediction]) -> list[RowScore]:
    """Each row's values, in the order given."""
    by_id = {row.id: row for row in Table.of(checked(predictions)).row_scores()}
    return [by_id[prediction.id] for prediction in predictions]


def score(predictions: Sequence[Prediction], *, seed: int = 0, resamples: int = RESAMPLES) -> Scores:
    """Every metric's total with its bootstrap interval; the same rows and seed give the same numbers in any order.

    Raises:
        DataError: no rows, or an id that stands twice.
    """
    table = Table.of(checked(predictions))
    sums = resampled_sums(table.statistics_NS, resamples=resamples, seed=seed)
    return scores_of(table, values_of(sums, len(predictions)))


def checked(predictions: Sequence[Prediction], system: str = "") -> Sequence[Prediction]:
    where = f"{system}: " if system else ""
    if not predictions:
        raise DataError(f"{where}no predictions to score; evaluate a split that has rows")
    twice = [name for name, count in Counter(row.id for row in predictions).items() if count > 1]
    if twice:
        raise DataError(f"{where}{named(twice)} more than once; give every row an id of its own")
    return predictions


def named(ids: Sequence[str], most: int = 5) -> str:
    """`row 'a'`, or `3 rows ('a', 'b', 'c')`, the first few by name."""
    if len(ids) == 1:
        return f"row '{ids[0]}'"
    shown = ", ".join(f"'{name}'" for name in ids[:most])
    return f"{len(ids)} rows ({shown}{', …' if len(ids) > most else ''})"


def values_of(sums_S: np.ndarray, rows: int) -> dict[str, np.ndarray]:
    """Every metric's value for sums of statistics, `[..., S]` to `[...]`."""
    values, start = {}, 0
    for metric in METRICS:
        values[metric.name] = metric.value(sums_S[..., start : start + metric.columns], rows)
        start += metric.columns
    return values


def totals_of(table: Table) -> dict[str, float]:
    values = values_of(table.statistics_NS.sum(axis=0), len(table.readings))
    return {name: float(value) for name, value in values.items()}


def scores_of(table: Table, resampled: Mapping[str, np.ndarray]) -> Scores:
    intervals = {name: percentile_interval(value, resampled[name]) for name, value in totals_of(table).items()}
    return Scores(len(table.readings), intervals, sum(reading.failed for reading in table.readings))


def _row_score(reading: Reading, statistics_S: np.ndarray) -> RowScore:
    values, start = {}, 0
    for metric in METRICS:
        if isinstance(metric, Metric):
            values[metric.name] = float(statistics_S[start])
        start += metric.columns
    return RowScore(reading.prediction.id, reading.edits, values)
