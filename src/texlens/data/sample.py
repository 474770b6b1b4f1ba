"""The `Sample`: one image (or several) with the text that should be read from it; and the `RejectedRow`."""

from dataclasses import dataclass, field, replace
from typing import Literal

from texlens.core.errors import DataError, one_line
from texlens.data.lazy_image import LazyImage

IMAGE_PLACEHOLDER = "<image>"
"""The position of an image in a user's turn. Without placeholders all images go before the first user's text."""


@dataclass(frozen=True)
class Turn:
    """An earlier turn of a conversation. A loss is computed on an assistant's turn only if `is_trained`."""

    role: Literal["system", "user", "assistant"]
    text: str
    is_trained: bool = True


@dataclass(frozen=True)
class Question:
    """A further question about a row's image, and its answer; `task` says what kind it is."""

    prompt: str
    text: str
    task: str | None = None


@dataclass(frozen=True)
class Rival:
    """Another reading of a row, with its natural log-probability. A new one that is no more probable is not kept, and
    may be cut where that is known; most of its text is likely the same."""

    text: str
    log_probability: float


@dataclass(frozen=True)
class Sample:
    """One row: `image` in, `text` out. `prompt` and `system` replace the run's own where they are not None.

    A row of several images holds the others in `more_images`; `images` are all of them. In the texts of user turns
    (those of `history`, then `prompt`) each `<image>` is the position of the next image; without any placeholder all
    images go before the first user's text. So a plain row has no placeholder, and its image comes before the prompt.

    `history` holds the turns before the last prompt: user and assistant alternate, and system turns may come between
    them. Of several accepted answers `text` is the first and `more_answers` the others; `answers` are all of them.
    `is_trained` False excludes the last answer from the loss; some earlier one must be trained then.

    `more_questions` share the row's images and are trained on next to its own question, which alone is asked when the
    row is read; it may have a `rival` then.

    Example:
        Sample("7", a, "They differ in x", "And <image>?", more_images=(b,),
               history=(Turn("user", "What is <image>?"), Turn("assistant", "A sum")))
    """

    id: str
    image: LazyImage
    text: str
    prompt: str | None = None
    system: str | None = None
    domain: str | None = None
    extra: dict = field(default_factory=dict)
    more_images: tuple[LazyImage, ...] = ()
    history: tuple[Turn, ...] = ()
    more_answers: tuple[str, ...] = ()
    is_trained: bool = True
    more_questions: tuple[Question, ...] = ()
    rival: Rival | None = None

    def separate(self) -> tuple["Sample", ...]:
        """A row for each question, the row's own first; the others' domain is their task."""
        if not self.more_questions:
            return (self,)
        first = replace(self, more_questions=())
        return (
            first,
            *(
                replace(first, prompt=each.prompt, text=each.text, domain=each.task, more_answers=(), is_trained=True)
                for each in self.more_questions
            ),
        )

    @property
    def images(self) -> tuple[LazyImage, ...]:
        return (self.image, *self.more_images)

    @property
    def answers(self) -> tuple[str, ...]:
        return (self.text, *self.more_answers)

    @property
    def loss_mask(self) -> tuple[bool, ...]:
        """Whether a loss is computed on each assistant's turn, the last answer at the end."""
        return (*(turn.is_trained for turn in self.history if turn.role == "assistant"), self.is_trained)


@dataclass(frozen=True)
class RejectedRow:
    """A row left out: where it is, why, and how to fix it. `kind` is a short name to count by.

    `text`, `more_answers` and `domain` are those of the row as far as it could be read, so that a rejected row scores
    zero in the domain that it belongs to.
    """

    id: str
    where: str
    reason: str
    kind: str = "row"
    text: str = ""
    domain: str | None = None
    more_answers: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{one_line(self.where)}: {one_line(self.reason)}"

    @classmethod
    def from_error(cls, sample: Sample, error: DataError, kind: str) -> "RejectedRow":
        """A rejected row from an error about `sample`."""
        where = sample.image.where
        reason = str(error).removeprefix(f"{where}: ")
        return cls(sample.id, where, reason, kind, sample.text, sample.domain, sample.more_answers)

    def to_json(self) -> dict[str, str]:
        """The line of rejected.jsonl."""
        return {"id": self.id, "where": self.where, "reason": self.reason, "kind": self.kind}
