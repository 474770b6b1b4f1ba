"""What can be measured: a `SystemSource` opens into a `Reader`. A new kind of system implements these two."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from texlens.data.sample import Sample
from texlens.inference.decoding.sampling import Sampling
from texlens.metrics.prediction import Prediction


class Reader(Protocol):
    """Something that reads images; `LoadedModel` is one."""

    def generate(
        self, samples: Sequence[Sample], *, sampling: Sampling | None = None, batch_size: int = 16, seed: int = 0
    ) -> Iterator[Prediction]:
        """One prediction for each sample, in any order; a sample that can't be read gives a failed one."""
        ...


class SystemSource(Protocol):
    """A system by name: what identifies it, and how to open it."""

    @property
    def name(self) -> str: ...

    def identity(self) -> dict[str, Any]:
        """All of the system that decides its predictions, ready for JSON."""
        ...

    def open(self) -> Reader: ...
