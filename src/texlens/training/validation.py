"""Scores of the validation rows that are read during training, from the same metrics as evaluation."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from texlens.config.run import RunConfig
from texlens.config.train import ValidationSettings
from texlens.core.errors import ConfigError
from texlens.metrics.prediction import Prediction
from texlens.metrics.registry import AnyMetric, chosen_metrics, run_metrics
from texlens.metrics.scores import totals


@dataclass(frozen=True)
class Scorer:
    """Totals of `metrics` over predictions, by the metric's name."""

    metrics: tuple[AnyMetric, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(metric.name for metric in self.metrics)

    @property
    def lower_is_better(self) -> frozenset[str]:
        return frozenset(metric.name for metric in self.metrics if metric.direction == "lower")

    def __call__(self, predictions: Sequence[Prediction]) -> Mapping[str, float]:
        return totals(predictions, self.metrics)


def build_scorer(settings: ValidationSettings) -> Scorer:
    """
    Raises:
        ConfigError: an unknown metric, or the best checkpoint is to be chosen by a score that is not measured.
    """
    scorer = Scorer(chosen_metrics(settings.metrics, "train.validation.metrics"))
    measured = ("validation_loss", *scorer.names)
    if settings.best_by not in measured:
        near = difflib.get_close_matches(settings.best_by, measured, 1, 0.6)
        suggestion = f"did you mean {near[0]}, or " if near else ""
        raise ConfigError(
            f"train.validation.best_by: {settings.best_by} is not measured; {suggestion}is it missing in "
            f"train.validation.metrics? Measured are {', '.join(measured)}"
        )
    return scorer


def check_scores(config: RunConfig) -> None:
    """
    Raises:
        ConfigError: an unknown metric in `train.validation.metrics` or `evaluate.metrics`.
    """
    run_metrics(config.evaluate.metrics)
    build_scorer(config.train.validation)
