"""The `Reader`: a model, with or without an adapter, that turns images into text as it was trained to."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch

from texlens.data.sample import Sample
from texlens.inference.generate import OnToken, generate, in_order
from texlens.inference.open import ServedModel, open_models, use_adapter
from texlens.metrics.prediction import Prediction

SORTED_BATCHES = 8
"""Of a stream so many batches are taken at a time and sorted by length; no more of it is held."""


@dataclass(frozen=True)
class Reader:
    """Everything that decides a reading, the question and pixel budget of training included."""

    model: torch.nn.Module
    served: ServedModel

    @property
    def name(self) -> str:
        return self.served.name

    def read(self, samples: Sequence[Sample], *, batch_size: int = 16) -> list[Prediction]:
        """A prediction for each sample, in their order; an image that can't be read gives a failed one."""
        return in_order(self.generate(samples, batch_size=batch_size), samples)

    def stream(self, samples: Iterable[Sample], *, batch_size: int = 16) -> Iterator[Prediction]:
        """The same of any number of samples, batch by batch in no order, with a bounded number of them at hand."""
        samples = iter(samples)
        while window := list(islice(samples, SORTED_BATCHES * batch_size)):
            yield from self.generate(window, batch_size=batch_size)

    def generate(
        self, samples: Sequence[Sample], *, batch_size: int = 16, on_token: OnToken | None = None
    ) -> Iterator[Prediction]:
        return generate(
            self.model,
            self.served.processor,
            samples,
            question=self.served.question,
            system=self.served.system,
            batch_size=batch_size,
            max_new_tokens=self.served.max_new_tokens,
            on_token=on_token,
        )


def open_reader(model: str = "nano", **model_settings) -> Reader:
    """A reader of a run folder (its adapter on its base), a checkpoint folder, a hub id, or `nano`.

    Raises:
        ModelError: no such model, or an adapter that belongs to another base.
        RunError: a run folder that is damaged, or a name that is not among the runs in its folder.
    """
    loaded, served = open_models([model], **model_settings)
    first = next(iter(served.values()))
    use_adapter(loaded, first.adapter)
    return Reader(loaded, first)
