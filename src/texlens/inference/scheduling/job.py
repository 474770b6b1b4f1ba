"""`GenerationJob`: one row on its way through the scheduler, with what it reports meanwhile."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from texlens.core.errors import TexlensError
from texlens.inference.decoding.generation_state import GenerationState
from texlens.inference.preparation import probability_of
from texlens.inputs.example import Example

OtherView = Callable[[], Example]
"""Draws another view of an image, which takes time; raises DataError."""
Outcome = Literal["done", "cancelled", "timeout", "failed"]


class QueueFullError(TexlensError):
    """The queue is full; try again after `retry_after_s` seconds."""

    def __init__(self, waiting: int, retry_after_s: int):
        super().__init__(f"{waiting} requests are waiting, as many as may; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class StoppingError(TexlensError):
    """The scheduler accepts nothing more."""


@dataclass(frozen=True)
class ServedPrompt:
    """An image and a prompt as the model reads them.

    Attributes:
        other_view: gives the prompt with another view of the image (`preparation.PreparedSample`), which is read too
            if the first reading is doubtful; the surer one of both is the answer. None where there is no other view.
        steps, other_steps: by which the image was prepared in the two views.
    """

    example: Example
    other_view: OtherView | None = None
    steps: tuple[str, ...] = ()
    other_steps: tuple[str, ...] = ()


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


@dataclass(eq=False)
class GenerationJob:
    """Made by `RequestScheduler.submit`. The scheduler's thread calls `on_token` and `on_done`, which must be quick.

    Times are `time.monotonic()` in seconds.
    """

    model: str
    prompt: Example
    state: GenerationState
    deadline: float
    other_view: OtherView | None = None
    """To be read too, should the first reading be doubtful; until that is known no token is reported."""
    new_state: Callable[[], GenerationState] | None = None
    """Of the second reading."""
    first: GenerationState | None = None
    """The first reading, while the second is prepared or goes on."""
    steps: tuple[str, ...] = ()
    """By which the image was prepared that the answer was read from."""
    other_steps: tuple[str, ...] = ()
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

    @property
    def is_undecided(self) -> bool:
        return self.other_view is not None or self.first is not None

    def await_second(self) -> None:
        """The first reading is kept while the other view is drawn."""
        self.first, self.other_view = self.state, None

    def begin_second(self, prompt: Example) -> None:
        """The image is read again in the other view."""
        assert self.first is not None
        assert self.new_state is not None
        self.prompt, self.state = prompt, self.new_state()
        self.state.least_log_probability = self.first.log_probability if sureness(self.first) else None

    def decide(self) -> None:
        """Keeps the surer reading."""
        if self.first is not None and sureness(self.first) >= sureness(self.state):
            self.state = self.first
        elif self.first is not None:
            self.steps = self.other_steps
        self.first = self.other_view = None

    def cancel(self) -> None:
        """Nobody waits for the text any more; the row leaves its batch before the next token."""
        self.cancelled = True


def sureness(state: GenerationState) -> float:
    """Probability of the whole text, 0 for one that is no complete reading."""
    return probability_of(state.stop, None if state.error else state.log_probability)
