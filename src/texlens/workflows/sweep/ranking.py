"""What the trials of a sweep are ranked by: the validation loss, or a score of the validation rows that are read.

Either is a sum over units divided by a sum over units, so that intervals and verdicts are the same: loss and labels of
each batch, or the cost of each row and 1. A cost is lower where a trial is better.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from texlens.config.run import RunConfig
from texlens.core.errors import ConfigError
from texlens.metrics.prediction import Prediction
from texlens.metrics.registry import METRICS, AnyMetric, CorpusMetric, Metric, chosen_metrics, metric_named, rate
from texlens.metrics.scores import Table
from texlens.metrics.statistics import Interval

LOSS = "validation_loss"
ROWS_READ = 200
"""Validation rows that are read at each measurement where the run file reads none."""

Units = tuple[tuple[float, int], ...]


@dataclass(frozen=True)
class Ranking:
    """By the metric of this name, or by the validation loss."""

    name: str = LOSS

    @property
    def metric(self) -> AnyMetric | None:
        return None if self.name == LOSS else metric_named(self.name)

    @property
    def title(self) -> str:
        return self.metric.title if self.metric else "Validation loss"

    @property
    def is_score(self) -> bool:
        """Whether more is better."""
        return self.metric is not None and self.metric.direction == "higher"

    def units(self, batches: Units, predictions: Sequence[Prediction]) -> Units:
        """
        Args:
            batches: summed loss in nats and labels of each batch of the validation rows.
            predictions: of the rows that are read.

        Example:
            exact_match of three rows, one of them wrong -> ((0.0, 1), (1.0, 1), (0.0, 1))
        """
        if self.metric is None:
            return batches
        statistics = Table.of(predictions, metrics=(self.metric,)).statistics_NS
        if isinstance(self.metric, CorpusMetric):
            return tuple((float(errors), int(length)) for errors, length in statistics)
        return tuple((1 - float(value) if self.is_score else float(value), 1) for (value,) in statistics)

    def shown(self, cost: float) -> float:
        """The score, or loss, of a cost."""
        return 1 - cost if self.is_score else cost

    def shown_interval(self, cost: Interval) -> Interval:
        low, high = sorted((self.shown(cost.low), self.shown(cost.high)))
        return Interval(self.shown(cost.value), low, high)


def ranking_named(name: str) -> Ranking:
    """
    Raises:
        ConfigError: no metric of that name, or one that is no mean over rows.
    """
    if name == LOSS:
        return Ranking()
    metrics = chosen_metrics((name,), "--by")
    if len(metrics) > 1 or not _is_mean(metrics[0]):
        usable = [LOSS, *(metric.name for metric in METRICS if _is_mean(metric))]
        raise ConfigError(
            f"--by {name}: no mean over rows, which trials could be judged by; choose {', '.join(usable)}"
        )
    return Ranking(metrics[0].name)


def settings_for(config: RunConfig, name: str) -> list[str]:
    """What a run has to measure to be ranked by a score, as `--set` takes it."""
    validation = config.train.validation
    if name == LOSS:
        return [f"train.validation.best_by={LOSS}"]
    rows = [] if validation.generation_rows else [f"train.validation.generation_rows={ROWS_READ}"]
    measured = validation.metrics
    metrics = [] if name in measured else [f"train.validation.metrics=[{', '.join((name, *measured))}]"]
    return [*rows, *metrics, f"train.validation.best_by={name}"]


def _is_mean(metric: AnyMetric) -> bool:
    return metric.of_set is None if isinstance(metric, Metric) else metric.of_sums is rate
