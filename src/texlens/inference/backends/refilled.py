"""Reading with the decoding engine, whose slots are refilled as rows finish; images are prepared ahead, beside a GPU in
processes of their own."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from texlens.core.errors import DataError
from texlens.data.sample import Sample
from texlens.inference.backend import OnToken
from texlens.inference.decoding.generation_state import GenerationState
from texlens.inference.engine.engine_batch import EngineBatch
from texlens.inference.engine.read_ahead import GATHER_S, PACK_ROWS, ReadAhead, prepared_ahead, short_turns
from texlens.inputs.example import Example, ReadPatches
from texlens.inputs.patching.processes import PatchProcesses

MAX_WORKERS = 8
AHEAD = 256
"""Prompts that are prepared and not yet in the engine."""


class RowReader(Protocol):
    """How one system reads a sample."""

    def prompt(self, sample: Sample, read_patches: ReadPatches | None = None) -> Example:
        """
        Args:
            read_patches: decodes and patches an image, where the caller has processes for that.

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

    workers = min(MAX_WORKERS, os.cpu_count() or 1)
    with PatchProcesses(workers if batch.is_on_gpu else 0) as patching:
        read_patches = patching.patches if batch.is_on_gpu else None

        def prepare(sample: Sample) -> list[tuple[FinishedRow, Example | None]]:
            return _prepared_rows(sample, readers, read_patches, shares_prompts=shares_prompts)

        prepared = prepared_ahead(samples, prepare, workers=workers, ahead=AHEAD)
        try:
            with short_turns(batch.is_on_gpu):
                yield from _refilled(batch, prepared, on_token)
        finally:
            prepared.close()


_Rows = list[tuple[FinishedRow, Example | None]]


def _refilled(batch: EngineBatch, prepared: ReadAhead[Any, _Rows], on_token: OnToken | None) -> Iterator[FinishedRow]:
    open_rows: list[FinishedRow] = []
    finished: list[FinishedRow] = []
    exhausted = False
    while open_rows or finished or not exhausted:
        if not batch.is_busy:
            prepared.gather(PACK_ROWS, GATHER_S)
        while not exhausted and batch.wants_rows and (prepared.is_ready or not (batch.is_busy and batch.is_on_gpu)):
            rows = next(prepared, None)
            exhausted = rows is None
            for row, prompt in rows or ():
                if prompt is None:
                    finished.append(row)
                else:
                    batch.prefill([prompt], [row.state])
                    open_rows.append(row)
        batch.launch()
        yield from finished  # the device works meanwhile
        batch.collect()
        prepared.refill()
        if on_token is not None:
            _report_text(on_token, open_rows)
        finished = [row for row in open_rows if not row.state.is_active]
        open_rows = [row for row in open_rows if row.state.is_active]


def _prepared_rows(
    sample: Sample, readers: Sequence[RowReader], read_patches: ReadPatches | None, *, shares_prompts: bool
) -> _Rows:
    """A row for each reader, with its prompt, or None where the sample can't be read."""
    prompts: list[Example | DataError] = []
    for reader in readers[:1] if shares_prompts else readers:
        try:
            prompts.append(reader.prompt(sample, read_patches))
        except DataError as error:
            prompts.append(error)
    rows: _Rows = []
    for number, reader in enumerate(readers):
        prompt = prompts[0 if shares_prompts else number]
        error = prompt if isinstance(prompt, DataError) else None
        row = FinishedRow(number, sample, reader.state(sample), error)
        rows.append((row, None if isinstance(prompt, DataError) else prompt))
    return rows


def _report_text(on_token: OnToken, rows: Sequence[FinishedRow]) -> None:
    for row in rows:
        text = "".join(row.state.token_texts[index] for index in row.state.unreported_tokens())
        if text:
            on_token(row.sample.id, text)
