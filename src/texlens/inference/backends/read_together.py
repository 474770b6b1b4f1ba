"""Several models on one base, read in one batch: a comparison decodes every image, and runs a frozen tower, once."""

from collections.abc import Iterator, Sequence
from typing import Any

from texlens.data.sample import Sample
from texlens.inference.backends.refilled import refilled_rows
from texlens.inference.backends.transformers import TransformersBackend
from texlens.inference.decoders import open_decoder
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.engine.engine_batch import EngineBatch
from texlens.inference.evaluation_mode import evaluation_mode
from texlens.inference.model import LoadedModel
from texlens.metrics.prediction import Prediction


def can_read_together(models: Sequence[Any]) -> bool:
    """Whether all are adapters of one model (or its base) that the engine decodes, with images read as they are."""
    loaded = [model for model in models if isinstance(model, LoadedModel) and model.preparation is None]
    backends = [model.backend for model in loaded if isinstance(model.backend, TransformersBackend)]
    if len(backends) < len(models) or len({id(backend.switch) for backend in backends}) > 1:
        return False
    return all(backend.reads_streams for backend in backends)


def read_together(
    models: Sequence[LoadedModel], samples: Sequence[Sample], *, sampling: Sampling, seed: int = 0
) -> Iterator[tuple[int, Prediction]]:
    """The number of a model and its prediction of a sample, for every pair of them, as they finish.

    Predictions equal those of `LoadedModel.generate` (in 16 bits up to rounding, as in any two batches).
    """
    backends: list[Any] = [model.backend for model in models]
    first = backends[0]
    readers = [
        backend.row_reader(model.style, sampling=sampling, seed=seed)
        for model, backend in zip(models, backends, strict=True)
    ]
    batch = open_decoder(first.switch, first.processor, [backend.adapter for backend in backends])
    assert isinstance(batch, EngineBatch)
    shares_prompts = all(
        model.style == models[0].style and backend.processor.geometry == first.processor.geometry
        for model, backend in zip(models, backends, strict=True)
    )
    with evaluation_mode(first.model):
        for row in refilled_rows(batch, readers, samples, shares_prompts=shares_prompts):
            yield row.system, backends[row.system].finished_prediction(row)
