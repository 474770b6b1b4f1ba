"""`GenerationState`: what one row has generated so far, and whether it goes on. No torch at import."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from texlens.inference.decoding.detokenize import IncrementalDetokenizer
from texlens.inference.decoding.sampling import Sampling
from texlens.metrics.prediction import StopReason
from texlens.metrics.repetition import ends_in_loop

if TYPE_CHECKING:
    import torch


@dataclass
class GenerationState:
    """Generated tokens (the end-of-turn token included) and their natural log-probabilities.

    `alternatives` holds for each token the most probable ones with their log-probabilities, as many as the sampling
    asks for. With a `detokenizer`, `new_text` is the text that the newest token completed, and stop strings end the
    row.
    """

    sampling: Sampling = field(default_factory=Sampling)
    generator: "torch.Generator | None" = None
    detokenizer: IncrementalDetokenizer | None = None
    tokens: list[int] = field(default_factory=list)
    log_probabilities: list[float] = field(default_factory=list)
    alternatives: list[list[tuple[int, float]]] = field(default_factory=list)
    new_text: str = ""
    stop: StopReason = "length"
    is_active: bool = True
    error: str | None = None
    """Why the row failed, where it alone could not be computed; its stop reason is then `failed`."""

    @property
    def log_probability(self) -> float:
        return sum(self.log_probabilities)

    def append_token(
        self,
        token: int,
        log_probability: float,
        end_ids: frozenset[int],
        alternatives: list[tuple[int, float]] | None = None,
    ) -> None:
        """Record a token and end the row where it is done."""
        self.tokens.append(token)
        self.log_probabilities.append(log_probability)
        self.alternatives.append(alternatives or [])
        self.new_text = self.detokenizer.push(token) if self.detokenizer is not None else ""
        if token in end_ids:
            self.finish("end")
        elif self.detokenizer is not None and self.detokenizer.stopped:
            self.finish("stop")
        elif self.sampling.repetition_guard and ends_in_loop(self.tokens):
            self.finish("loop")
        elif len(self.tokens) >= self.sampling.max_new_tokens:
            self.finish("length")

    def finish(self, stop: StopReason) -> None:
        """No token follows; `new_text` gains the text that was held back."""
        self.stop, self.is_active = stop, False
        if self.detokenizer is not None:
            self.new_text += self.detokenizer.finish()

    def fail(self, reason: str) -> None:
        """End the row with an error of its own."""
        self.error = reason
        self.finish("failed")
