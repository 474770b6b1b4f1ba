"""`GenerationState`: what one row has generated so far, and whether it goes on. No torch here."""

from dataclasses import dataclass, field

from texlens.data.sample import Sample
from texlens.inference.decoding.detokenize import IncrementalDetokenizer
from texlens.inference.decoding.grammar import RowGrammar
from texlens.inference.decoding.sampling import Sampling
from texlens.metrics.prediction import StopReason
from texlens.metrics.repetition import ends_in_loop


@dataclass
class GenerationState:
    """Generated tokens (the end-of-turn token included) and their natural log-probabilities.

    Attributes:
        adapter: which adapter of the model the row is read with, None for the base; see `adapter_switch`.
        seed: of this row's draws where the sampling is not greedy; the row's tokens depend on no other row.
        detokenizer: with one, stop strings end the row and `token_texts` is filled.
        alternatives: of each token the most probable ones with their log-probabilities, as many as the sampling asks.
        least_log_probability: the row ends with stop reason `length` as soon as its log-probability is at most this: it
            can only fall.
        grammar: refuses tokens that no formula can go on with; None where the sampling has no grammar.
        token_texts: the text that each token completed; joined they are the text.
    """

    sampling: Sampling = field(default_factory=Sampling)
    adapter: str | None = None
    seed: int = 0
    detokenizer: IncrementalDetokenizer | None = None
    grammar: RowGrammar | None = None
    least_log_probability: float | None = None
    tokens: list[int] = field(default_factory=list)
    log_probabilities: list[float] = field(default_factory=list)
    alternatives: list[list[tuple[int, float]]] = field(default_factory=list)
    token_texts: list[str] = field(default_factory=list)
    stop: StopReason = "length"
    is_active: bool = True
    error: str | None = None
    """Why the row failed, where it alone could not be computed; its stop reason is then `failed`."""
    _reported: int = 0
    _is_closing: bool = False

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
        if self.grammar is not None:
            self.grammar.take(token)
        self.log_probabilities.append(log_probability)
        self.alternatives.append(alternatives or [])
        self.token_texts.append(self.detokenizer.push(token) if self.detokenizer is not None else "")
        if token in end_ids:
            self.finish("end")
        elif self.detokenizer is not None and self.detokenizer.stopped:
            self.finish("stop")
        elif self.least_log_probability is not None and self.log_probability <= self.least_log_probability:
            self.finish("length")
        elif self._is_closing:
            if self.grammar is None or self.grammar.is_complete:
                self.finish("loop")
        elif self.sampling.repetition_guard and ends_in_loop(self.tokens):
            self._end_loop()
        elif len(self.tokens) >= self.sampling.max_new_tokens:
            self.finish("length")

    def _end_loop(self) -> None:
        """End a row that repeats itself; with a grammar, after what is open is closed."""
        if self.grammar is None or self.grammar.is_complete:
            self.finish("loop")
        else:
            self.grammar.close()
            self._is_closing = True

    def finish(self, stop: StopReason) -> None:
        """No token follows; the text that was held back is added to the last token's."""
        self.stop, self.is_active = stop, False
        if self.detokenizer is not None and self.token_texts:
            self.token_texts[-1] += self.detokenizer.finish()

    def unreported_tokens(self) -> range:
        """Indexes of the tokens that were appended since the last call."""
        start, self._reported = self._reported, len(self.tokens)
        return range(start, self._reported)

    def fail(self, reason: str) -> None:
        """End the row with an error of its own."""
        self.error = reason
        self.finish("failed")


def least_of(sample: Sample) -> float | None:
    """`GenerationState.least_log_probability` of a sample that is read."""
    return None if sample.rival is None else sample.rival.log_probability
