"""`LoadedModel`: an opened model with everything that decides its readings. No torch at import."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from texlens.core.errors import ConfigError
from texlens.data.sample import Sample
from texlens.inference.backend import Backend, OnToken
from texlens.inference.confidence import Calibration
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.preparation import PreparedSample, read_prepared
from texlens.inputs.chat_template import PromptStyle
from texlens.metrics.prediction import Prediction

if TYPE_CHECKING:
    from torch import Tensor

    from texlens.inputs.image_preparation import Preparation

WINDOW_BATCHES = 8
"""`stream` sorts this many batches by length at a time, and holds no more samples."""


@dataclass(frozen=True)
class LoadedModel:
    """What `open_model` returns.

    Attributes:
        name: the last part of what was opened, such as the run folder's name.
        style: the prompt and system prompt of training.
        max_new_tokens: default limit of a reading: what the model can hold.
        parent: for an adapter that shares a model with its base, the base's name.
        preparation: how images are prepared before they are read; None reads them as they are.
    """

    name: str
    backend: Backend
    style: PromptStyle
    max_new_tokens: int
    calibration: Calibration | None = None
    parent: str | None = None
    preparation: "Preparation | None" = None

    def generate(
        self,
        samples: Sequence[Sample],
        *,
        sampling: Sampling | None = None,
        batch_size: int = 16,
        seed: int = 0,
        on_token: OnToken | None = None,
    ) -> Iterator[Prediction]:
        """One prediction for each sample, in any order; a sample that can't be read gives a failed one.

        A sample's own prompt and system prompt replace those of `style`.

        Args:
            sampling: greedy up to `max_new_tokens` where None.
            seed: of the generator that tokens are drawn from at a temperature.

        Raises:
            ConfigError: a batch size, token limit or temperature that is not positive.
            DataError: the model's own prompt holds a special token.
        """
        read = self._backend_reader(sampling, batch_size, seed, on_token)
        if self.preparation is None:
            return read(samples)
        return read_prepared(samples, self.preparation, read, twice=on_token is None)

    def prepared(self, sample: Sample) -> Sample:
        """The sample with its images as the model reads them."""
        return sample if self.preparation is None else PreparedSample(sample, self.preparation).sample

    def read(
        self, samples: Sequence[Sample], *, sampling: Sampling | None = None, batch_size: int = 16, seed: int = 0
    ) -> list[Prediction]:
        """The predictions of `generate` in the order of the samples, whose ids must differ."""
        return in_order(self.generate(samples, sampling=sampling, batch_size=batch_size, seed=seed), samples)

    def stream(
        self, samples: Iterable[Sample], *, sampling: Sampling | None = None, batch_size: int = 16, seed: int = 0
    ) -> Iterator[Prediction]:
        """The same for any number of samples, in any order, with a bounded number of them in memory."""
        if self.backend.reads_streams and self.preparation is None:
            yield from self._backend_reader(sampling, batch_size, seed, None)(samples)
            return
        samples = iter(samples)
        while window := list(islice(samples, WINDOW_BATCHES * batch_size)):
            yield from self.generate(window, sampling=sampling, batch_size=batch_size, seed=seed)

    def _backend_reader(
        self, sampling: Sampling | None, batch_size: int, seed: int, on_token: OnToken | None
    ) -> Callable[[Iterable[Sample]], Iterator[Prediction]]:
        sampling = sampling or Sampling(self.max_new_tokens)
        _check_positive(
            batch_size=batch_size, max_new_tokens=sampling.max_new_tokens, temperature=sampling.temperature or 1.0
        )
        return partial(
            self.backend.generate,
            style=self.style,
            sampling=sampling,
            batch_size=batch_size,
            seed=seed,
            on_token=on_token,
        )

    def next_token_logits(self, samples: Sequence[Sample]) -> "Tensor":
        """Logits after each prompt: float32 [samples, vocabulary] on the CPU, NaN where an image can't be read."""
        return self.backend.next_token_logits([self.prepared(sample) for sample in samples], self.style)


def in_order(predictions: Iterable[Prediction], samples: Sequence[Sample]) -> list[Prediction]:
    """All predictions, in the order of the samples (whose ids must differ)."""
    by_id = {prediction.id: prediction for prediction in predictions}
    return [by_id[sample.id] for sample in samples]


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if value <= 0:
            raise ConfigError(f"{name} is {value}; it must be more than 0")
