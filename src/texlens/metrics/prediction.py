"""The `Prediction`: what a model read from one image, stored as a line of JSON."""

from dataclasses import asdict, dataclass
from typing import Literal

StopReason = Literal["end", "length", "loop", "stop", "failed"]


@dataclass(frozen=True)
class Prediction:
    """`reference` and `text` are plain strings; `log_probability` sums the natural logs of the generated tokens.

    `tokens` counts them, the end-of-turn token included. `stop` is `end` (the model ended its turn), `length` (cut at
    the token limit), `loop` (cut because it repeated itself; `text` holds the repetition), `stop` (cut before a stop
    string) or `failed` (no text; `error` gives the reason, and the row scores 0). `more_references` are further
    accepted texts, such as an image's other captions; the caption scores use them.
    """

    id: str
    reference: str
    text: str
    stop: StopReason = "end"
    tokens: int = 0
    log_probability: float | None = None
    domain: str | None = None
    error: str | None = None
    more_references: tuple[str, ...] = ()
    corrected: str | None = None
    """The reference without its deliberate slip, in a row that has one."""
    prepared: tuple[str, ...] = ()
    """Steps by which the image was prepared before it was read (`inputs.image_preparation`)."""

    @property
    def references(self) -> tuple[str, ...]:
        return (self.reference, *self.more_references)

    def to_row(self) -> dict:
        return {key: value for key, value in asdict(self).items() if value is not None and value != ()}

    @classmethod
    def from_row(cls, row: dict) -> "Prediction":
        row = renamed_fields(row)
        known = {key: row[key] for key in cls.__dataclass_fields__ if key in row}
        tuples: dict = {name: tuple(row.get(name, ())) for name in ("more_references", "prepared")}
        return cls(**known | tuples)


def renamed_fields(row: dict) -> dict:
    """A saved row with the field names of today; files of version 0.1 have the old ones."""
    return {(_OLD_FIELDS.get(key, key)): value for key, value in row.items()}


_OLD_FIELDS = {"truth": "reference", "more_truths": "more_references"}
