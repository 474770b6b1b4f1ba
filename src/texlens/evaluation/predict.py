"""Predictions of systems on rows: read from the cache, or made and stored there."""

from collections.abc import Sequence

from rich.console import Console
from rich.progress import Progress

from texlens.config.evaluate import EvaluateSettings
from texlens.config.run import RunConfig
from texlens.core.run_folder import RunFolder
from texlens.data.sample import Sample
from texlens.evaluation.evaluation_rows import EvaluationRows
from texlens.evaluation.prediction_cache import CacheKey, PredictionCache
from texlens.evaluation.systems.protocol import Reader, SystemSource
from texlens.inference.decoding.sampling import Sampling
from texlens.metrics.prediction import Prediction

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
) -> dict[str, list[Prediction]]:
    """Predictions of each system by name, one per row; those made before under the same key are read back.

    Args:
        label: names the files, see `result_label`.

    Raises:
        DataError: stored predictions are damaged.
        ModelError: a system can't be opened.
    """
    cache = PredictionCache(folder, label)
    predictions = {}
    for source in sources:
        key = {**_key(config, rows), **source.identity()}
        cached = cache.read(source.name, key, len(rows)) if use_cache else None
        if cached is None:
            cached = [*read_samples(source.open(), rows.samples, source.name, config.evaluate, console), *rows.failed]
            cache.write(source.name, key, cached)
        predictions[source.name] = cached
    return predictions


def read_samples(
    reader: Reader, samples: Sequence[Sample], name: str, settings: EvaluateSettings, console: Console
) -> list[Prediction]:
    """Predictions in the order of the samples, with a progress bar on a terminal."""
    generated = reader.generate(
        samples, sampling=evaluation_sampling(settings), batch_size=settings.batch_size, seed=settings.seed
    )
    order = {sample.id: number for number, sample in enumerate(samples)}
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"reading {len(samples)} rows with the {name}", total=len(samples))
        predictions = []
        for prediction in generated:
            predictions.append(prediction)
            bar.advance(task)
    return sorted(predictions, key=lambda prediction: order[prediction.id])


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
