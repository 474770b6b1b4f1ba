"""A question to a model on its way through the engine: what goes in, what it hears meanwhile, what comes out."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from texlens.core.errors import TexlensError
from texlens.inference.decode import Decoded
from texlens.inputs.example import Example

Outcome = Literal["done", "cancelled", "timeout", "failed"]


class QueueFullError(TexlensError):
    """As many questions wait as may wait; come again in `retry_after_s`."""

    def __init__(self, waiting: int, retry_after_s: int):
        super().__init__(f"{waiting} requests are waiting, as many as may; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class StoppingError(TexlensError):
    """The engine takes nothing more."""


@dataclass(frozen=True)
class Spoken:
    """One token: its text (put together they are the whole text), its natural log-probability, the likeliest tokens."""

    text: str
    data: bytes
    log_probability: float
    alternatives: tuple[tuple[str, bytes, float], ...] = ()


@dataclass
class Job:
    """Made by `Engine.submit`. `on_token` and `on_done` are called by the engine's thread and must be quick."""

    model: str
    prompt: Example
    row: Decoded
    deadline: float
    on_token: Callable[[Spoken], None] | None = None
    on_done: Callable[["Job"], None] | None = None
    spoken: list[Spoken] = field(default_factory=list)
    outcome: Outcome | None = None
    error: str | None = None
    asked_at: float = 0.0
    began_at: float | None = None
    ended_at: float | None = None
    cancelled: bool = False
    finished: threading.Event = field(default_factory=threading.Event)

    @property
    def text(self) -> str:
        assert self.row.text is not None
        return self.row.text.text

    def cancel(self) -> None:
        """Nobody waits for the answer any more; the row leaves its batch before the next token."""
        self.cancelled = True
