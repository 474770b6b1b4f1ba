"""Evaluation of a run folder: its systems read the rows, are scored, compared and reported; results stay in it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from texlens.config.load import load_saved_config
from texlens.config.run import RunConfig
from texlens.core.errors import DataError, RunError
from texlens.core.files import write_json
from texlens.core.language import translated
from texlens.core.run_folder import RunFolder
from texlens.evaluation.comparison import compare
from texlens.evaluation.evaluation_rows import EvaluationRows, read_rows
from texlens.evaluation.measured import MeasuredComparison, describe_rows
from texlens.evaluation.predict import predict, read_samples, scoring_settings
from texlens.evaluation.predictions import read_predictions
from texlens.evaluation.result_label import result_label
from texlens.evaluation.run_report import write_run_report
from texlens.evaluation.scoring.row_scorer import RowScorer, scoring_processes
from texlens.evaluation.systems.find import find_systems
from texlens.evaluation.systems.names import RUN_SYSTEMS
from texlens.evaluation.systems.opened import OpenedSource
from texlens.evaluation.systems.protocol import SystemSource
from texlens.evaluation.systems.run_systems import run_systems
from texlens.evaluation.train_overlap import TrainOverlap, train_overlap
from texlens.inference.open import open_model
from texlens.inference.opening.source import resolve, resolve_run_base
from texlens.metrics.prediction import Prediction
from texlens.metrics.registry import run_metrics
from texlens.metrics.scores import Scores, score


@dataclass(frozen=True)
class Measurement:
    """What is measured on: `config` is `saved` (of the run folder) with this call's changes; `label` names results."""

    folder: RunFolder
    saved: RunConfig
    config: RunConfig
    split: str
    label: str
    rows: EvaluationRows
    sources: list[SystemSource]

    def predict(
        self, *, use_cache: bool, console: Console, scorer: RowScorer | None = None
    ) -> dict[str, list[Prediction]]:
        return predict(
            self.config,
            self.folder,
            self.rows,
            self.sources,
            label=self.label,
            use_cache=use_cache,
            console=console,
            scorer=scorer,
        )

    def scorer(self, *, draws: bool = False) -> RowScorer:
        """Scores these rows, in processes where there are many."""
        processes = scoring_processes(len(self.rows) * len(self.sources))
        return RowScorer(scoring_settings(self.config, draws=draws), processes)

    @property
    def data(self) -> dict[str, Any]:
        return describe_rows(self.config, self.split, len(self.rows))

    def overlap(self, console: Console) -> TrainOverlap:
        return _overlap(self.folder, self.saved, self.rows, self.label, console)


def prepare(
    config: RunConfig, folder: RunFolder, *, split: str, systems: Sequence[str], others: Sequence[str] = ()
) -> Measurement:
    """Rows, systems and the name of their results, before any weight is read.

    Args:
        systems: of the run: `base`, `adapter`.
        others: models, endpoints and files of predictions.

    Raises:
        ConfigError, DataError, ModelError, RunError: one of them is not there or can't be used.
    """
    saved = load_saved_config(folder.config)
    base = resolve_run_base(config, folder, trained="adapter" in systems).base
    shared, sources = run_systems(config, folder, base, systems)
    sources += find_systems(others, config.data, shared.free)
    rows = read_rows(config, split, base)
    label = result_label(saved, config, split, weights=folder.adapter.name)
    return Measurement(folder, saved, config, split, label, rows, sources)


def predict_run(
    config: RunConfig,
    folder: RunFolder,
    *,
    split: str,
    systems: Sequence[str] = RUN_SYSTEMS,
    use_cache: bool = True,
    console: Console,
) -> dict[str, list[Prediction]]:
    """Predictions of the run's own systems by name, one per row, stored in the run folder."""
    return prepare(config, folder, split=split, systems=systems).predict(use_cache=use_cache, console=console)


def evaluate_run(
    config: RunConfig, folder: RunFolder, *, split: str, system: str, use_cache: bool = True, console: Console
) -> tuple[Scores, dict[str, Any]]:
    """Scores of one system on a split, and what they were measured on; predictions and scores stay in the folder."""
    metrics = run_metrics(config.evaluate.metrics)
    measurement = prepare(config, folder, split=split, systems=[system])
    with measurement.scorer() as scorer:
        predictions = measurement.predict(use_cache=use_cache, console=console, scorer=scorer)
        known = scorer.scored(predictions)
    scores = score(
        predictions[system], seed=config.evaluate.seed, metrics=metrics, clean=config.evaluate.clean, known=known
    )
    label, data = measurement.label, measurement.data
    _store(folder, folder.scores(label, system), {**scores.to_json(), "data": data})
    overlap = measurement.overlap(console)
    return scores, {"label": label, "data": data, "train_overlap": overlap.to_json(), "claim": overlap.sentence()}


def evaluate_checkpoint(config: RunConfig, *, console: Console) -> Scores:
    """Scores of a checkpoint without adapter on the test rows of `config`; nothing is stored."""
    metrics = run_metrics(config.evaluate.metrics)
    source = resolve(config.model.path, config=config)
    rows = read_rows(config, "test", source.base)
    predictions = read_samples(open_model(source), rows.samples, "checkpoint", config.evaluate, console)
    return score([*predictions, *rows.failed], seed=config.evaluate.seed, metrics=metrics, clean=config.evaluate.clean)


def compare_run(
    config: RunConfig,
    folder: RunFolder,
    *,
    others: Sequence[str] = (),
    console: Console,
    split: str = "test",
    use_cache: bool = True,
) -> MeasuredComparison:
    """Base, adapter and `others` on a split; every system is scored once.

    Predictions, scores, comparison and report stay in the run folder, under the label of these rows and settings.

    Args:
        others: runs, checkpoints, adapters, exports, bare models, endpoints (https://…/v1#model) or files of
            predictions.

    Raises:
        ConfigError, DataError, ModelError, RunError: one of them is not there or can't be used.
    """
    metrics = run_metrics(config.evaluate.metrics)
    measurement = prepare(config, folder, split=split, systems=RUN_SYSTEMS, others=others)
    with measurement.scorer(draws=True) as scorer:
        predictions = measurement.predict(use_cache=use_cache, console=console, scorer=scorer)
        known = scorer.scored(predictions)
    comparison = compare(
        predictions, seed=config.evaluate.seed, metrics=metrics, clean=config.evaluate.clean, known=known
    )
    label = measurement.label + _suffix([source.name for source in measurement.sources])
    result = MeasuredComparison(
        comparison,
        label,
        measurement.data,
        measurement.overlap(console),
        folder.report_of(label),
        _overlaps_of_others(measurement, console),
        [sample.id for sample in measurement.rows.samples],
    )
    for system, scores in comparison.systems.items():
        path = folder.scores(measurement.label, system)
        _store(folder, path, {**scores.to_json(), "data": dict(result.data)})
    _store(folder, folder.comparison(label), result.to_json())
    write_run_report(measurement.saved, config, folder, split, result, scorer.drawn)
    return result


def _suffix(systems: Sequence[str]) -> str:
    """A comparison with other systems has files of its own."""
    others = [name for name in systems if name not in RUN_SYSTEMS]
    return f"-with-{hashlib.sha256(' '.join(others).encode()).hexdigest()[:6]}" if others else ""


def _overlaps_of_others(measurement: Measurement, console: Console) -> dict[str, TrainOverlap]:
    """How many of the rows the other runs were trained on, where their settings are known."""
    overlaps = {}
    for source in measurement.sources:
        run = source.run if isinstance(source, OpenedSource) else None
        if run is not None:
            saved = load_saved_config(run.config)
            overlaps[source.name] = _overlap(
                measurement.folder, saved, measurement.rows, f"{measurement.label}.{source.name}", console
            )
    return overlaps


def report_run(config: RunConfig, folder: RunFolder, *, split: str) -> Path:
    """Writes the report of the run's own rows again from stored predictions.

    Raises:
        DataError: there are none.
    """
    paths = {system: folder.predictions(split, system) for system in RUN_SYSTEMS}
    for system, path in paths.items():
        if not path.is_file():
            raise DataError(f"{path}: no predictions of {system} on {split}; run `texlens compare {folder.path}` first")
    predictions = {system: read_predictions(path) for system, path in paths.items()}
    metrics = run_metrics(config.evaluate.metrics)
    comparison = compare(predictions, seed=config.evaluate.seed, metrics=metrics, clean=config.evaluate.clean)
    stored = folder.read_object(str(folder.comparison(split).relative_to(folder.path)))
    overlap = stored.get("train_overlap") or {"rows": comparison.rows, "problem": "measured by an older version"}
    overlap.pop("sentence", None)
    data = stored.get("data") or describe_rows(config, split, comparison.rows)
    result = MeasuredComparison(comparison, split, data, TrainOverlap.from_json(overlap), folder.report_of(split))
    return write_run_report(config, config, folder, split, result)


def _overlap(folder: RunFolder, saved: RunConfig, rows: EvaluationRows, label: str, console: Console) -> TrainOverlap:
    """Computed once for these rows and this train split, then read back."""
    path = folder.overlap(label)
    key = {"rows": rows.fingerprint, "data": saved.data.model_dump(mode="json")}
    try:
        stored = folder.read_object(str(path.relative_to(folder.path)))
        if stored.get("key") == key:
            return TrainOverlap.from_json(stored["overlap"])
    except (RunError, KeyError, TypeError, AttributeError):
        stored = {}  # a damaged record is computed again
    with console.status(translated("comparing the rows with train")):
        overlap = train_overlap(saved, rows.samples, len(rows))
    if not overlap.problem:
        write_json(path, {"key": key, "overlap": overlap.to_json()})
    return overlap


def _store(folder: RunFolder, path: Path, value: Mapping[str, Any]) -> None:
    """Writes a result; one of other rows under the same name is moved to `previous/`."""
    before = folder.read_json(str(path.relative_to(folder.path))) if path.is_file() else None
    if isinstance(before, dict) and before.get("data", {"rows": before.get("rows")}) != value["data"]:
        folder.archive(path)
    write_json(path, value)
