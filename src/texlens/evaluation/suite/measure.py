"""A system reads each test set, and its predictions are scored by the rules of the published numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console

from texlens.config.run import RunConfig
from texlens.core.run_folder import RunFolder
from texlens.evaluation.evaluation_rows import EvaluationRows, read_rows
from texlens.evaluation.predict import read_samples
from texlens.evaluation.run import prepare
from texlens.evaluation.suite.benchmarks import Benchmark
from texlens.evaluation.suite.find import Copy
from texlens.evaluation.train_overlap import TrainOverlap
from texlens.inference.open import open_model
from texlens.inference.opening.source import resolve
from texlens.metrics.pairs import score_predictions
from texlens.metrics.prediction import Prediction
from texlens.metrics.statistics import Interval

OURS = "exact_match_canonical"
"""Reported beside the published score: spelling and spaces do not count in it."""
REFERENCE_RULES = "reference"


@dataclass(frozen=True)
class BenchmarkResult:
    """
    Args:
        score: by the published rules.
        canonical: our canonical match on the same predictions.
        overlap: how many rows the run was trained on; None for a checkpoint whose training is not known.
    """

    benchmark: Benchmark
    copy: Copy
    rows: int
    score: Interval
    canonical: Interval
    overlap: TrainOverlap | None

    def to_json(self) -> dict[str, Any]:
        return {
            "test_set": self.benchmark.name,
            "data": self.copy.path,
            "split": self.copy.split,
            "rows": self.rows,
            "rows_of_the_test_set": self.benchmark.rows,
            "score": self.benchmark.score,
            "rule": self.benchmark.rule,
            **{name: getattr(self.score, name) for name in ("value", "low", "high")},
            "exact_match_canonical": self.canonical.value,
            "train_overlap": {**self.overlap.to_json(), "sentence": self.overlap.sentence()} if self.overlap else None,
        }


def measure_run(
    config: RunConfig, folder: RunFolder, copies: Sequence[Copy], *, system: str, use_cache: bool, console: Console
) -> list[BenchmarkResult]:
    """A run's adapter or base on each test set; predictions are kept in the run folder."""
    results = []
    for copy in copies:
        measurement = prepare(on_copy(config, copy), folder, split="test", systems=[system])
        predictions = measurement.predict(use_cache=use_cache, console=console)[system]
        results.append(scored(copy, predictions, measurement.overlap(console), config.evaluate.seed))
    return results


def measure_checkpoint(
    config_of: Callable[[Copy], RunConfig], copies: Sequence[Copy], console: Console
) -> list[BenchmarkResult]:
    """A checkpoint without adapter on each test set; nothing is stored."""
    results = []
    for copy in copies:
        config = config_of(copy)
        source = resolve(config.model.path, config=config)
        rows: EvaluationRows = read_rows(config, "test", source.base)
        predictions = [
            *read_samples(open_model(source), rows.samples, "checkpoint", config.evaluate, console),
            *rows.failed,
        ]
        results.append(scored(copy, predictions, None, config.evaluate.seed))
    return results


def on_copy(config: RunConfig, copy: Copy) -> RunConfig:
    """The settings with the test set as the test rows; its lists may name images beside their own folder."""
    splits = config.data.splits.model_copy(update={"test": copy.split})
    where = {"path": copy.path, "subset": None, "splits": splits, "format": "auto", "allow_outside": True}
    data = config.data.model_copy(update=where)
    return config.model_copy(update={"data": data})


def scored(copy: Copy, predictions: Sequence[Prediction], overlap: TrainOverlap | None, seed: int) -> BenchmarkResult:
    """The predictions scored by the rules of the published numbers, and by ours."""
    benchmark = copy.benchmark
    rows = [replace(prediction, domain=None) for prediction in predictions]
    if benchmark.preset:
        published = score_predictions(rows, preset=benchmark.preset, seed=seed)
    else:
        published = score_predictions(rows, metrics=[benchmark.score], cdm=REFERENCE_RULES, seed=seed)
    ours = score_predictions(rows, metrics=[OURS], seed=seed)
    return BenchmarkResult(
        benchmark,
        copy,
        len(rows),
        published.scores.values[benchmark.score],
        ours.scores.values[OURS],
        overlap,
    )
