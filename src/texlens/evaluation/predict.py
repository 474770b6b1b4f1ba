"""Predictions of systems on rows: read from the cache, or made and stored there."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from texlens.config.evaluate import EvaluateSettings
from texlens.config.run import RunConfig
from texlens.core.language import translated
from texlens.core.run_folder import RunFolder
from texlens.data.sample import Sample
from texlens.evaluation.evaluation_rows import EvaluationRows
from texlens.evaluation.predictions import CacheKey, PredictionCache
from texlens.evaluation.scoring.row_result import ScoringSettings
from texlens.evaluation.scoring.row_scorer import RowScorer
from texlens.evaluation.systems.protocol import Reader, SystemSource
from texlens.evaluation.systems.run_systems import AdapterSource, BaseSource
from texlens.inference.decoding.sampling import Sampling
from texlens.metrics.prediction import Prediction

OnPrediction = Callable[[Prediction], None]
KEY_VERSION = 2
_NOT_IN_KEY = {"metrics", "max_rows", "fraction", "clean"}


def predict(
    config: RunConfig,
    folder: RunFolder,
    rows: EvaluationRows,
    sources: Sequence[SystemSource],
    *,
    label: str,
    use_cache: bool = True,
    console: Console,
    scorer: RowScorer | None = None,
) -> dict[str, list[Prediction]]:
    """Predictions of each system by name, one per row; those made before under the same key are read back.

    Args:
        label: names the files, see `result_label`.
        scorer: scores rows while others are read.

    Raises:
        DataError: stored predictions are damaged.
        ModelError: a system can't be opened.
    """
    scorer = scorer or RowScorer(scoring_settings(config))
    cache = PredictionCache(folder, label, config.evaluate.clean if scorer.are_formulas else None)
    keys = {source.name: {**_key(config, rows), **source.identity()} for source in sources}
    predictions = {}
    for source in sources:
        cached = cache.read(source.name, keys[source.name], len(rows)) if use_cache else None
        if cached is not None:
            predictions[source.name] = cached
    missing = [source for source in sources if source.name not in predictions]
    generated = _read_together(missing, rows.samples, config.evaluate, console, scorer.begin)
    for source in missing:
        generated_rows = generated.get(source.name)
        if generated_rows is None:
            generated_rows = read_samples(
                source.open(), rows.samples, source.name, config.evaluate, console, scorer.begin
            )
        predictions[source.name] = [*generated_rows, *rows.failed]
        stored = [result.stored for result in scorer.results(predictions[source.name])]
        cache.write(source.name, keys[source.name], predictions[source.name], stored)
    return {source.name: predictions[source.name] for source in sources}


def scoring_settings(config: RunConfig, *, draws: bool = False) -> ScoringSettings:
    """How an evaluation scores rows."""
    return ScoringSettings(tuple(config.evaluate.metrics), config.evaluate.clean, draws)


def _read_together(
    sources: Sequence[SystemSource],
    samples: Sequence[Sample],
    settings: EvaluateSettings,
    console: Console,
    on_prediction: OnPrediction,
) -> dict[str, list[Prediction]]:
    """Predictions of the run's own systems by name, where one batch can hold base and adapter; else none."""
    shared = [
        source for source in sources if isinstance(source, BaseSource | AdapterSource) and source.shared.shares_base
    ]
    if len(shared) < 2:
        return {}
    from texlens.inference.backends.read_together import can_read_together, read_together

    models: list[Any] = [source.open() for source in shared]
    if not can_read_together(models):
        return {}
    generated = read_together(models, samples, sampling=evaluation_sampling(settings), seed=settings.seed)
    order = {sample.id: number for number, sample in enumerate(samples)}
    predictions: list[list[Prediction]] = [[] for _ in shared]
    names = " and the ".join(source.name for source in shared)
    began = time.monotonic()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(
            translated(f"reading {len(samples)} rows with the {escape(names)}"), total=len(samples) * len(shared)
        )
        for number, prediction in generated:
            predictions[number].append(prediction)
            on_prediction(prediction)
            bar.advance(task)
    _report_time(console, len(samples), names, began)
    return {
        source.name: sorted(rows, key=lambda prediction: order[prediction.id])
        for source, rows in zip(shared, predictions, strict=True)
    }


def read_samples(
    reader: Reader,
    samples: Sequence[Sample],
    name: str,
    settings: EvaluateSettings,
    console: Console,
    on_prediction: OnPrediction = lambda prediction: None,
) -> list[Prediction]:
    """Predictions in the order of the samples, with a progress bar on a terminal."""
    generated = reader.generate(
        samples, sampling=evaluation_sampling(settings), batch_size=settings.batch_size, seed=settings.seed
    )
    order = {sample.id: number for number, sample in enumerate(samples)}
    began = time.monotonic()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(translated(f"reading {len(samples)} rows with the {escape(name)}"), total=len(samples))
        predictions = []
        for prediction in generated:
            predictions.append(prediction)
            on_prediction(prediction)
            bar.advance(task)
    _report_time(console, len(samples), name, began)
    return sorted(predictions, key=lambda prediction: order[prediction.id])


def _report_time(console: Console, rows: int, names: str, began: float) -> None:
    seconds = time.monotonic() - began
    console.print(f"read {rows:,} row{'s' if rows != 1 else ''} with the {names} in {seconds:.1f} s", markup=False)


def evaluation_sampling(settings: EvaluateSettings) -> Sampling:
    """How tokens are chosen in an evaluation."""
    return Sampling(settings.max_new_tokens, settings.temperature or None, grammar=settings.grammar)


def _unless_set(settings: EvaluateSettings) -> set[str]:
    """Settings that are in the key only where they are on, so that older predictions stay valid."""
    return set() if settings.grammar else {"grammar"}


def _key(config: RunConfig, rows: EvaluationRows) -> CacheKey:
    return {
        "version": KEY_VERSION,
        "rows": rows.fingerprint,
        "model": config.model.model_dump(mode="json", include={"dtype", "attention"}),
        "evaluate": config.evaluate.model_dump(mode="json", exclude=_NOT_IN_KEY | _unless_set(config.evaluate)),
    }
