"""Evaluation of a run folder: its systems read the rows, are scored, compared and reported; results stay in it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rich.console import Console

from texlens.config.load import load_saved_config
from texlens.config.run import RunConfig
from texlens.core.errors import DataError, RunError
from texlens.core.files import write_json
from texlens.core.run_folder import RunFolder
from texlens.evaluation.comparison import compare
from texlens.evaluation.evaluation_rows import EvaluationRows, read_rows
from texlens.evaluation.measured import MeasuredComparison, describe_rows
from texlens.evaluation.predict import predict, read_samples
from texlens.evaluation.predictions import read_predictions
from texlens.evaluation.result_label import result_label
from texlens.evaluation.run_report import write_run_report
from texlens.evaluation.saved_run import run_base
from texlens.evaluation.sources import RUN_SYSTEMS, run_sources
from texlens.evaluation.train_overlap import TrainOverlap, train_overlap
from texlens.inference.open import open_model
from texlens.inference.source import resolve
from texlens.metrics.prediction import Prediction
from texlens.metrics.registry import run_metrics
from texlens.metrics.scores import Scores, score

NO_EXPORTS: Mapping[str, Path] = MappingProxyType({})


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
    base = run_base(config, folder, adapter="adapter" in systems)
    rows = read_rows(config, split, base)
    saved = load_saved_config(folder.config)
    sources = run_sources(config, folder, base, systems, NO_EXPORTS)
    return predict(
        config, folder, rows, sources, split=split, saved=saved, base=base, use_cache=use_cache, console=console
    )


def evaluate_run(
    config: RunConfig, folder: RunFolder, *, split: str, system: str, use_cache: bool = True, console: Console
) -> tuple[Scores, dict[str, Any]]:
    """Scores of one system on a split, and what they were measured on; predictions and scores stay in the folder."""
    metrics = run_metrics(config.evaluate.metrics)
    saved = load_saved_config(folder.config)
    base = run_base(config, folder, adapter=system == "adapter")
    rows = read_rows(config, split, base)
    sources = run_sources(config, folder, base, [system], NO_EXPORTS)
    predictions = predict(
        config, folder, rows, sources, split=split, saved=saved, base=base, use_cache=use_cache, console=console
    )
    scores = score(predictions[system], seed=config.evaluate.seed, metrics=metrics, clean=config.evaluate.clean)
    label = result_label(saved, config, split)
    data = describe_rows(config, split, len(rows))
    _store(folder, folder.scores(label, system), {**scores.to_json(), "data": data})
    overlap = _overlap(folder, saved, rows, label, console)
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
    exports: Mapping[str, Path] = NO_EXPORTS,
    console: Console,
    split: str = "test",
    use_cache: bool = True,
) -> MeasuredComparison:
    """Base, adapter and exported folders (`exports`, by name) on a split; every system is scored once.

    Predictions, scores, comparison and report stay in the run folder, under the label of these rows and settings.

    Raises:
        ModelError: the adapter or an export belongs to another base.
    """
    metrics = run_metrics(config.evaluate.metrics)
    saved = load_saved_config(folder.config)
    base = run_base(config, folder)
    rows = read_rows(config, split, base)
    sources = run_sources(config, folder, base, RUN_SYSTEMS, exports)
    predictions = predict(
        config, folder, rows, sources, split=split, saved=saved, base=base, use_cache=use_cache, console=console
    )
    comparison = compare(predictions, seed=config.evaluate.seed, metrics=metrics, clean=config.evaluate.clean)
    label = result_label(saved, config, split)
    result = MeasuredComparison(
        comparison,
        label,
        describe_rows(config, split, len(rows)),
        _overlap(folder, saved, rows, label, console),
        folder.report_of(label),
    )
    for system, scores in comparison.systems.items():
        _store(folder, folder.scores(label, system), {**scores.to_json(), "data": dict(result.data)})
    _store(folder, folder.comparison(label), result.to_json())
    write_run_report(saved, config, folder, split, result)
    return result


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
    stored = folder.read_json(str(folder.comparison(split).relative_to(folder.path))) or {}
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
        stored = folder.read_json(str(path.relative_to(folder.path))) or {}
    except RunError:
        stored = {}
    if stored.get("key") == key:
        return TrainOverlap.from_json(stored["overlap"])
    with console.status("comparing the rows with train"):
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
