"""`Backend`: what computes with an opened model.

To add one, implement the Protocol and register it in `backend_registry.py`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from texlens.core.errors import DataError
from texlens.data.sample import Sample
from texlens.inference.decoding.sampling import Sampling
from texlens.inputs.chat_template import PromptStyle
from texlens.metrics.prediction import Prediction

if TYPE_CHECKING:
    from torch import Tensor

    from texlens.inference.decoding.generation_state import GenerationState

OnToken = Callable[[str, str], None]
"""Called with a sample's id and the text that its newest token completed."""


class Backend(Protocol):
    """An opened model, ready to read images."""

    def generate(
        self,
        samples: Iterable[Sample],
        style: PromptStyle,
        *,
        sampling: Sampling,
        batch_size: int,
        seed: int,
        on_token: OnToken | None,
    ) -> Iterator[Prediction]:
        """One prediction for each sample, in any order; a sample that can't be read gives a failed one."""
        ...

    @property
    def reads_streams(self) -> bool:
        """Whether `generate` takes any iterable of samples, holds few of them, and gains from a long one."""
        ...

    def next_token_logits(self, samples: Sequence[Sample], style: PromptStyle) -> "Tensor":
        """Logits after each prompt: float32 [samples, vocabulary] on the CPU, NaN where an image can't be read."""
        ...


def failed_prediction(sample: Sample, error: DataError) -> Prediction:
    """The prediction of a sample that can't be read; it scores zero."""
    return Prediction(
        sample.id,
        sample.text,
        "",
        stop="failed",
        domain=sample.domain,
        error=str(error),
        more_references=sample.more_answers,
        corrected=sample.extra.get("corrected"),
    )


def finished_prediction(sample: Sample, state: "GenerationState", text: str) -> Prediction:
    """The prediction of a sample that was read; a row that failed on the way has no text and no log-probability."""
    return Prediction(
        id=sample.id,
        reference=sample.text,
        text=text if state.error is None else "",
        stop=state.stop,
        tokens=len(state.tokens),
        log_probability=state.log_probability if state.error is None else None,
        domain=sample.domain,
        error=state.error,
        more_references=sample.more_answers,
        corrected=sample.extra.get("corrected"),
    )
