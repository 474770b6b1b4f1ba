"""`GenerationJob`: one row on its way through the scheduler, with what it reports meanwhile."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from texlens.core.errors import TexlensError
from texlens.inference.decoding.generation_state import GenerationState
from texlens.inputs.example import Example

Outcome = Literal["done", "cancelled", "timeout", "failed"]


class QueueFullError(TexlensError):
    """The queue is full; try again after `retry_after_s` seconds."""

    def __init__(self, waiting: int, retry_after_s: int):
        super().__init__(f"{waiting} requests are waiting, as many as may; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class StoppingError(TexlensError):
    """The scheduler accepts nothing more."""


@dataclass(frozen=True)
class TokenEvent:
    """One generated token.

    Attributes:
        text: the text that it completed; joined over all events it is the whole text.
        data: its own bytes.
        log_probability: natural logarithm, under the model's own distribution.
        alternatives: the most probable tokens: text, bytes, log-probability.
    """

    text: str
    data: bytes
    log_probability: float
    alternatives: tuple[tuple[str, bytes, float], ...] = ()


@dataclass
class GenerationJob:
    """Made by `RequestScheduler.submit`. The scheduler's thread calls `on_token` and `on_done`, which must be quick.

    Times are `time.monotonic()` in seconds.
    """

    model: str
    prompt: Example
    state: GenerationState
    deadline: float
    on_token: Callable[[TokenEvent], None] | None = None
    on_done: Callable[["GenerationJob"], None] | None = None
    outcome: Outcome | None = None
    error: str | None = None
    submitted_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None
    cancelled: bool = False
    finished: threading.Event = field(default_factory=threading.Event)

    @property
    def text(self) -> str:
        assert self.state.detokenizer is not None
        return self.state.detokenizer.text

    def cancel(self) -> None:
        """Nobody waits for the text any more; the row leaves its batch before the next token."""
        self.cancelled = True
