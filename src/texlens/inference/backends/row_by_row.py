"""Backends of other runtimes, which read one row at a time: prompt in, logits out, then one token after the other."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from texlens.core.errors import DataError
from texlens.data.sample import Sample
from texlens.inference.backend import OnToken, failed_prediction, finished_prediction
from texlens.inference.backends.next_token_logits import stack_rows
from texlens.inference.decoding.detokenize import IncrementalDetokenizer, TokenBytes
from texlens.inference.decoding.generation_state import GenerationState, least_of
from texlens.inference.decoding.grammar import row_grammar
from texlens.inference.decoding.sample_tokens import sample_tokens
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.prompts import end_ids
from texlens.inputs.chat_template import PromptStyle
from texlens.metrics.prediction import Prediction
from texlens.models.processor import Processor


class RowDecoder(Protocol):
    """One row in progress in another runtime."""

    @property
    def vocabulary_size(self) -> int: ...

    @property
    def is_full(self) -> bool:
        """Whether no further token fits into the context."""
        ...

    def prefill(self, sample: Sample, style: PromptStyle) -> Tensor:
        """Logits [vocabulary] after the prompt of a new row.

        Raises:
            DataError: the row can't be read by this runtime.
        """
        ...

    def step(self, token: int) -> Tensor:
        """Logits [vocabulary] after one more token."""
        ...


@dataclass(frozen=True)
class RowByRowBackend:
    """A `Backend` over a `RowDecoder`."""

    rows: RowDecoder
    processor: Processor

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
        """See `Backend.generate`."""
        generator = None if sampling.is_greedy else torch.Generator().manual_seed(seed)
        for sample in samples:
            detokenizer = IncrementalDetokenizer(TokenBytes(self.processor.tokenizer))
            grammar = row_grammar(self.processor.tokenizer, end_ids(self.processor), sampling)
            state = GenerationState(
                sampling,
                detokenizer=detokenizer,
                grammar=grammar,
                least_log_probability=least_of(sample),
            )
            try:
                self._generate_one(sample, style.of(sample), state, generator, on_token)
            except DataError as error:
                yield failed_prediction(sample, error)
                continue
            yield finished_prediction(sample, state, detokenizer.text)

    reads_streams = False

    def next_token_logits(self, samples: Sequence[Sample], style: PromptStyle) -> Tensor:
        """See `Backend.next_token_logits`."""
        rows: list[Tensor | None] = []
        for sample in samples:
            try:
                rows.append(self.rows.prefill(sample, style.of(sample)))
            except DataError:
                rows.append(None)
        return stack_rows(rows) if any(row is not None for row in rows) else self._no_logits(len(rows))

    def _no_logits(self, rows: int) -> Tensor:
        return torch.full((rows, self.rows.vocabulary_size), torch.nan)

    def _generate_one(
        self,
        sample: Sample,
        style: PromptStyle,
        state: GenerationState,
        generator: torch.Generator | None,
        on_token: OnToken | None,
    ) -> None:
        logits_V = self.rows.prefill(sample, style)
        while True:
            tokens_B, (log_probability,), (alternatives,) = sample_tokens(
                logits_V[None], [state.sampling], [generator], [state.tokens], [state.grammar]
            )
            token = int(tokens_B[0])
            state.append_token(token, log_probability, end_ids(self.processor), alternatives)
            if state.is_active and self.rows.is_full:
                state.finish("length")
            if on_token is not None and state.token_texts[-1]:
                on_token(sample.id, state.token_texts[-1])
            if not state.is_active:
                return
            logits_V = self.rows.step(token)
