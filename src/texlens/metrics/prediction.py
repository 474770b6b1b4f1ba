"""The `Prediction`: what a model read from one image, kept as a line of JSON."""

from dataclasses import asdict, dataclass
from typing import Literal

StopReason = Literal["end", "length", "loop", "stop", "failed"]


@dataclass(frozen=True)
class Prediction:
    """`truth` and `text` are plain strings; `log_probability` sums the natural logs of the generated tokens.

    `tokens` counts them, the one that ends the turn included. `stop` is `end` (the model ended its turn), `length` (cut
    at the limit), `loop` (cut since it said the same few tokens over and over; `text` holds them), `stop` (cut before a
    string that was named) or `failed` (no text could be made; `error` says why, and the row scores zero).
    `more_truths` are further texts as right as `truth`, such as an image's other captions; scores of captions use them.
    """

    id: str
    truth: str
    text: str
    stop: StopReason = "end"
    tokens: int = 0
    log_probability: float | None = None
    domain: str | None = None
    error: str | None = None
    more_truths: tuple[str, ...] = ()

    @property
    def truths(self) -> tuple[str, ...]:
        return (self.truth, *self.more_truths)

    def to_row(self) -> dict:
        return {key: value for key, value in asdict(self).items() if value is not None and value != ()}

    @classmethod
    def from_row(cls, row: dict) -> "Prediction":
        known = {key: row[key] for key in cls.__dataclass_fields__ if key in row}
        return cls(**known | {"more_truths": tuple(row.get("more_truths", ()))})
