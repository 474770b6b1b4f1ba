"""Rows without end through an engine, which is kept full; each comes back when it is done."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from texlens.inference.decoding.generation_state import GenerationState
from texlens.inference.engine.engine import DecodingEngine
from texlens.inputs.example import Example


@dataclass(eq=False)
class RowRequest:
    """A prompt to be answered by `adapter` (None: the base); `key` is the caller's, to know the row again."""

    key: Any
    prompt: Example
    state: GenerationState
    adapter: str | None = None


def decode_rows(engine: DecodingEngine, rows: Iterable[RowRequest]) -> Iterator[RowRequest]:
    """The rows as they finish. A pack's worth of rows is taken ahead, so that free slots are filled at once."""
    rows, open_rows, exhausted = iter(rows), [], False
    while open_rows or not exhausted:
        while not exhausted and engine.waiting_tokens < engine.plan.pack_tokens and engine.waiting < engine.plan.slots:
            row = next(rows, None)
            if row is None:
                exhausted = True
                break
            engine.add([row.prompt], [row.state], [row.adapter])
            open_rows.append(row)
        engine.step()
        yield from (row for row in open_rows if not row.state.is_active)
        open_rows = [row for row in open_rows if row.state.is_active]
