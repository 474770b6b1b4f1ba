"""Which rows can be used: all that building an example would check, before a model is loaded."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from transformers import PreTrainedTokenizerBase

from texlens.core.errors import DataError
from texlens.data.geometry import ImageGeometry
from texlens.data.load import Rows
from texlens.data.sample import RejectedRow, Sample
from texlens.inputs.chat_template import PromptStyle, check_special_tokens, check_turns

MAX_THREADS = 8
CHUNK = 64


@dataclass(frozen=True)
class UsableRow:
    """What checking a row found out: the tokens of its images, how its transparent images are shown, and how many
    questions share its images."""

    image_tokens: int
    transparency: tuple[str, ...] = ()
    more_questions: int = 0


@dataclass(frozen=True)
class Checked:
    """The rows that can be used and those that can't; together they are all rows that were drawn.

    `image_tokens` is of the usable rows. `transparency` counts their transparent images: on white, on black (where
    white would have hidden the ink), or only seen in the header. `more_questions` are those beside the rows' own.
    """

    usable: Rows
    rejected: Sequence[RejectedRow]
    image_tokens: int
    transparency: Counter[str] = field(default_factory=Counter)
    more_questions: int = 0

    def statistics(self) -> dict:
        """Counts for the run folder: rows = kept + rejected, rejected ones by kind and each with its reason."""
        counts = {
            "rows": len(self.usable) + len(self.rejected),
            "kept": len(self.usable),
            "rejected": dict(Counter(row.kind for row in self.rejected)),
            "rejected_rows": [str(row) for row in self.rejected],
            "image_tokens": self.image_tokens,
            "fingerprint": self.usable.fingerprint,
        }
        counts |= {"more_questions": self.more_questions} if self.more_questions else {}
        counts |= {"ignored_files": self.usable.ignored} if self.usable.ignored else {}
        return counts | ({"transparent_images": dict(self.transparency)} if self.transparency else {})


def check_rows(
    rows: Rows,
    geometry: ImageGeometry,
    tokenizer: PreTrainedTokenizerBase | None = None,
    *,
    style: PromptStyle | None = None,
    decode: bool = False,
    strict: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Checked:
    """Check every row.

    Args:
        tokenizer: with it, texts that spell one of its special tokens are rejected too.
        style: the run's prompt and system prompt; placeholders in it count like a row's own.
        decode: decode every image, in threads, so that truncated ones are found; else headers alone are read.
        strict: any rejected row is an error.
        on_progress: called with rows done and rows in all.

    Raises:
        DataError: with `strict`, naming the first rejected row and how many there are.
    """
    usable, rejected, tokens, questions = [], list(rows.rejected), 0, 0
    transparency: Counter[str] = Counter()
    for index, result in enumerate(_results(rows, geometry, tokenizer, style or PromptStyle(""), decode)):
        if isinstance(result, RejectedRow):
            rejected.append(result)
        else:
            usable.append(index)
            tokens += result.image_tokens
            transparency.update(result.transparency)
            questions += result.more_questions
        if on_progress is not None and (index % CHUNK == CHUNK - 1 or index == len(rows) - 1):
            on_progress(index + 1, len(rows))
    if strict and rejected:
        raise DataError(
            f"{rejected[0]} ({len(rejected)} of {rows.total} rows can't be used; fix them, or set data.strict to false)"
        )
    return Checked(rows.take(usable), rejected, tokens, transparency, questions)


def check_sample(
    sample: Sample,
    geometry: ImageGeometry,
    tokenizer: PreTrainedTokenizerBase | None = None,
    *,
    style: PromptStyle | None = None,
    decode: bool = False,
) -> UsableRow | RejectedRow:
    """What is known of a usable row, or why the row can't be used."""
    kind = "empty answer"
    try:
        if not sample.text.strip():
            raise DataError("0 answer tokens; is 'text' empty? fill it or remove the row")
        kind = "turns"
        check_turns(sample, style or PromptStyle(""))
        kind = "unreadable image"
        sizes = [image.size for image in sample.images]
        kind = "aspect ratio"
        tokens = sum(geometry.tokens(*size) for size in sizes)
        kind = "special token"
        if tokenizer is not None:
            _check_special_tokens(sample, tokenizer)
        kind = "damaged image"
        return UsableRow(tokens, tuple(_transparency(sample, decode)), len(sample.more_questions))
    except DataError as error:
        return RejectedRow.from_error(sample, error, kind)


def _check_special_tokens(sample: Sample, tokenizer: PreTrainedTokenizerBase) -> None:
    earlier = [("earlier turn", turn.text) for turn in sample.history]
    texts = [("answer", sample.text), ("prompt", sample.prompt), ("system", sample.system)]
    questions = [("question", f"{each.prompt} {each.text}") for each in sample.more_questions]
    for what, text in (*texts, *earlier, *questions):
        check_special_tokens(tokenizer, text or "", f"the {what}")


def _transparency(sample: Sample, decode: bool) -> Iterator[str]:
    for image in sample.images:
        if decode:
            _, ground = image.load_on_ground()
            if ground:
                yield f"on {ground}"
        elif image.header.transparency:
            yield "not decoded"


def _results(
    rows: Rows, geometry: ImageGeometry, tokenizer: PreTrainedTokenizerBase | None, style: PromptStyle, decode: bool
) -> Iterator[UsableRow | RejectedRow]:
    def check(start: int) -> list[UsableRow | RejectedRow]:
        stop = min(start + CHUNK, len(rows))
        return [
            check_sample(rows[index], geometry, tokenizer, style=style, decode=decode) for index in range(start, stop)
        ]

    starts = range(0, len(rows), CHUNK)
    if not decode:
        for start in starts:
            yield from check(start)
        return
    with ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1)) as pool:
        for results in pool.map(check, starts):
            yield from results
