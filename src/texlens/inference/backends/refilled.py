"""Reading with the decoding engine, whose slots are refilled as rows finish; images are prepared ahead in threads."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from texlens.core.errors import DataError
from texlens.data.sample import Sample
from texlens.inference.backend import OnToken
from texlens.inference.decoding.generation_state import GenerationState
from texlens.inference.engine.engine_batch import EngineBatch
from texlens.inference.engine.read_ahead import prepared_ahead
from texlens.inputs.example import Example

MAX_WORKERS = 8
AHEAD = 256
"""Prompts that are prepared and not yet in the engine."""


class RowReader(Protocol):
    """How one system reads a sample."""

    def prompt(self, sample: Sample) -> Example:
        """
        Raises:
            DataError: the sample can't be read.
        """
        ...

    def state(self, sample: Sample) -> GenerationState: ...


@dataclass(eq=False)
class FinishedRow:
    """`system` is the reader's number; `error` is why the sample could not be read."""

    system: int
    sample: Sample
    state: GenerationState
    error: DataError | None = None


def refilled_rows(
    batch: EngineBatch,
    readers: Sequence[RowReader],
    samples: Iterable[Sample],
    *,
    shares_prompts: bool = False,
    on_token: OnToken | None = None,
) -> Iterator[FinishedRow]:
    """Every sample by every reader, as the rows finish; any number of samples, few of them in memory.

    Args:
        shares_prompts: the readers' prompts are equal, so that the first one's is prepared, and its image read, once.
    """

    def prepare(sample: Sample) -> list[tuple[FinishedRow, Example | None]]:
        prompts: list[Example | DataError] = []
        for reader in readers[:1] if shares_prompts else readers:
            try:
                prompts.append(reader.prompt(sample))
            except DataError as error:
                prompts.append(error)
        rows = []
        for number, reader in enumerate(readers):
            prompt = prompts[0 if shares_prompts else number]
            error = prompt if isinstance(prompt, DataError) else None
            row = FinishedRow(number, sample, reader.state(sample), error)
            rows.append((row, None if isinstance(prompt, DataError) else prompt))
        return rows

    workers = min(MAX_WORKERS, os.cpu_count() or 1)
    prepared = prepared_ahead(samples, prepare, workers=workers, ahead=AHEAD)
    open_rows: list[FinishedRow] = []
    exhausted = False
    while open_rows or not exhausted:
        while not exhausted and batch.wants_rows:
            rows = next(prepared, None)
            exhausted = rows is None
            for row, prompt in rows or ():
                if prompt is None:
                    yield row
                else:
                    batch.prefill([prompt], [row.state])
                    open_rows.append(row)
        batch.step()
        if on_token is not None:
            _report_text(on_token, open_rows)
        yield from (row for row in open_rows if not row.state.is_active)
        open_rows = [row for row in open_rows if row.state.is_active]


def _report_text(on_token: OnToken, rows: Sequence[FinishedRow]) -> None:
    for row in rows:
        text = "".join(row.state.token_texts[index] for index in row.state.unreported_tokens())
        if text:
            on_token(row.sample.id, text)
