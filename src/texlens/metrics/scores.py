"""Scores of one system: each row's values, and the totals with their 95% intervals.

N = rows, S = statistics of all metrics side by side.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from texlens.core.errors import DataError
from texlens.latex.parse.tokens import tokenize
from texlens.metrics.cdm import RULES, Pictures, Rules
from texlens.metrics.prediction import Prediction
from texlens.metrics.registry import METRICS, AnyMetric, Metric
from texlens.metrics.scored_prediction import ScoredPrediction, Tokenizer
from texlens.metrics.statistics import RESAMPLES, Interval, percentile_interval, resampled_sums


@dataclass(frozen=True)
class RowScore:
    """One row's values by metric name (corpus metrics have none), its token edits, and its problem.

    `problem` says why reference or text can't be drawn.
    """

    id: str
    edits: int
    values: Mapping[str, float]
    exact: bool
    problem: str = ""
    removed: tuple[str, ...] = ()
    """What was removed from the text before it was compared."""


@dataclass(frozen=True)
class Scores:
    """Totals of one system; `failed` counts the rows without a text, which scored 0.

    `undrawn_references` maps the id of each row whose reference can't be drawn to the reason; as pictures, such rows
    are right only if the text has the same tokens.
    """

    rows: int
    values: Mapping[str, Interval]
    failed: int = 0
    undrawn_references: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[AnyMetric, ...] = METRICS
    cleaned: int = 0
    """Rows from whose text a code fence, prose or math delimiters were removed."""

    def to_json(self) -> dict:
        scores = {name: interval.to_json() for name, interval in self.values.items()}
        payload: dict = {"rows": self.rows, "failed": self.failed, "scores": scores}
        if self.cleaned:
            payload["cleaned"] = self.cleaned
        if self.undrawn_references:
            payload["undrawn_references"] = dict(self.undrawn_references)
        return payload


@dataclass(frozen=True)
class ScoredRow:
    """A prediction with the statistics, by name, of the metrics that need no other row."""

    scored: ScoredPrediction
    statistics: Mapping[str, tuple[float, ...]]


def scored_row(
    prediction: Prediction,
    metrics: tuple[AnyMetric, ...],
    *,
    rules: Rules = RULES["default"],
    tokenizer: Tokenizer = tokenize,
    pictures: Pictures | None = None,
    clean: bool = True,
) -> ScoredRow:
    scored = ScoredPrediction.of(prediction, rules=rules, tokenizer=tokenizer, pictures=pictures, clean=clean)
    statistics = {metric.name: metric.statistics(scored) for metric in metrics if not _needs_all_rows(metric)}
    if compare_pictures(metrics):
        _ = scored.reference_problem
    return ScoredRow(scored, statistics)


def compare_pictures(metrics: tuple[AnyMetric, ...]) -> bool:
    return any(metric.name.startswith("cdm") or metric.name.endswith("picture") for metric in metrics)


def _needs_all_rows(metric: AnyMetric) -> bool:
    return isinstance(metric, Metric) and metric.of_set is not None


@dataclass(frozen=True)
class Table:
    """The rows of one system sorted by id, so that no score depends on their order."""

    rows: Sequence[ScoredPrediction]
    statistics_NS: np.ndarray  # noqa: N815
    metrics: tuple[AnyMetric, ...] = METRICS

    @classmethod
    def of(
        cls,
        predictions: Sequence[Prediction],
        *,
        metrics: tuple[AnyMetric, ...] = METRICS,
        rules: Rules = RULES["default"],
        tokenizer: Tokenizer = tokenize,
        pictures: Pictures | None = None,
        clean: bool = True,
        known: Mapping[Prediction, ScoredRow] = MappingProxyType({}),
    ) -> "Table":
        """
        Args:
            known: rows that were scored before, with the same metrics and settings.
        """
        in_order = [
            known.get(prediction)
            or scored_row(prediction, metrics, rules=rules, tokenizer=tokenizer, pictures=pictures, clean=clean)
            for prediction in sorted(predictions, key=lambda row: row.id)
        ]
        scored = [row.scored for row in in_order]
        of_set = {metric.name: metric.for_set(scored) for metric in metrics if _needs_all_rows(metric)}
        rows = [
            [
                value
                for metric in metrics
                for value in row.statistics.get(metric.name) or of_set[metric.name].statistics(row.scored)
            ]
            for row in in_order
        ]
        return cls(scored, np.asarray(rows, dtype=np.float64), metrics)

    def where(self, keep: Sequence[int]) -> "Table":
        return Table([self.rows[index] for index in keep], self.statistics_NS[list(keep)], self.metrics)

    def row_values(self) -> list[dict[str, float]]:
        """Each row's value of every metric, corpus metrics as of a corpus of that row."""
        return [
            {name: float(value) for name, value in values_of(row, 1, self.metrics).items()}
            for row in self.statistics_NS
        ]

    def row_scores(self) -> list[RowScore]:
        return [
            _row_score(self.metrics, scored_row, row)
            for scored_row, row in zip(self.rows, self.statistics_NS, strict=True)
        ]


def score_rows(predictions: Sequence[Prediction]) -> list[RowScore]:
    """Each row's values, in the order given."""
    by_id = {row.id: row for row in Table.of(checked(predictions)).row_scores()}
    return [by_id[prediction.id] for prediction in predictions]


def score(
    predictions: Sequence[Prediction],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    metrics: tuple[AnyMetric, ...] = METRICS,
    rules: Rules = RULES["default"],
    clean: bool = True,
    known: Mapping[Prediction, ScoredRow] = MappingProxyType({}),
) -> Scores:
    """Every metric's total with its bootstrap interval; the same rows and seed give the same numbers in any order.

    Raises:
        DataError: no rows, or a duplicate id.
    """
    table = Table.of(checked(predictions), metrics=metrics, rules=rules, clean=clean, known=known)
    return table_scores(table, seed=seed, resamples=resamples)


def totals(predictions: Sequence[Prediction], metrics: tuple[AnyMetric, ...]) -> dict[str, float]:
    """Every metric's total, without intervals, for validation during training."""
    return totals_of(Table.of(checked(predictions), metrics=metrics))


def table_scores(table: Table, *, seed: int = 0, resamples: int = RESAMPLES) -> Scores:
    sums = resampled_sums(table.statistics_NS, resamples=resamples, seed=seed)
    return scores_of(table, values_of(sums, len(table.rows), table.metrics))


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


def values_of(sums_S: np.ndarray, rows: int, metrics: tuple[AnyMetric, ...] = METRICS) -> dict[str, np.ndarray]:
    """Every metric's value for sums of statistics, `[..., S]` to `[...]`."""
    values, start = {}, 0
    for metric in metrics:
        values[metric.name] = metric.value(sums_S[..., start : start + metric.columns], rows)
        start += metric.columns
    return values


def totals_of(table: Table) -> dict[str, float]:
    values = values_of(table.statistics_NS.sum(axis=0), len(table.rows), table.metrics)
    return {name: float(value) for name, value in values.items()}


def scores_of(table: Table, resampled: Mapping[str, np.ndarray]) -> Scores:
    intervals = {name: percentile_interval(value, resampled[name]) for name, value in totals_of(table).items()}
    failed = sum(scored_row.failed for scored_row in table.rows)
    cleaned = sum(bool(row.removed) for row in table.rows)
    return Scores(len(table.rows), intervals, failed, _undrawn_references(table), table.metrics, cleaned)


def _undrawn_references(table: Table) -> dict[str, str]:
    """References that can't be drawn; empty where no metric compares pictures."""
    if not compare_pictures(table.metrics):
        return {}
    return {row.prediction.id: row.reference_problem for row in table.rows if row.reference_problem}


def _row_score(metrics: tuple[AnyMetric, ...], scored_row: ScoredPrediction, statistics_S: np.ndarray) -> RowScore:
    values, start = {}, 0
    for metric in metrics:
        if isinstance(metric, Metric):
            values[metric.name] = float(statistics_S[start])
        start += metric.columns
    problem = scored_row.prediction.error or "" if scored_row.failed else ""
    if not problem and any(name.startswith("cdm") for name in values):
        problem = scored_row.cdm.problem
    problem = "; ".join(part for part in (problem, "" if scored_row.failed else scored_row.shortened) if part)
    return RowScore(
        scored_row.prediction.id,
        scored_row.edits,
        values,
        scored_row.is_exact and not scored_row.failed,
        problem,
        scored_row.removed,
    )
