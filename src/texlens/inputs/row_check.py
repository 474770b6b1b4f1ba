"""Which rows can be used: from headers, or by decoding every image, before a model is loaded."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from texlens.core.errors import DataError
from texlens.data.geometry import ImageGeometry
from texlens.data.load import Rows
from texlens.data.sample import RejectedRow, Sample
from texlens.inputs.chat_template import check_special_tokens

MAX_THREADS = 8
CHUNK = 64


@dataclass(frozen=True)
class Checked:
    """The rows that can be used and those that can't; together they are all rows that were drawn.

    `image_tokens` is of the rows kept.
    """

    usable: Rows
    rejected: Sequence[RejectedRow]
    image_tokens: int

    def statistics(self) -> dict:
        """Counts for the run folder: rows = kept + rejected, rejected ones by kind and each with its reason."""
        return {
            "rows": len(self.usable) + len(self.rejected),
            "kept": len(self.usable),
            "rejected": dict(Counter(rejected_row.kind for rejected_row in self.rejected)),
            "rejected_rows": [str(rejected_row) for rejected_row in self.rejected],
            "image_tokens": self.image_tokens,
            "fingerprint": self.usable.fingerprint,
        }


def check_rows(
    rows: Rows,
    geometry: ImageGeometry,
    tokenizer: PreTrainedTokenizerBase | None = None,
    *,
    decode: bool = False,
    strict: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Checked:
    """Looks at every row.

    Args:
        tokenizer: with it, texts that spell one of its special tokens are rejected too.
        decode: decode every image, in threads, so that truncated ones are found; else headers alone are read.
        strict: any rejection is an error.
        on_progress: called with rows done and rows in all.

    Raises:
        DataError: with `strict`, naming the first row rejected and how many there are.
    """
    usable, rejected, tokens = [], list(rows.rejected), 0
    for index, result in enumerate(_results(rows, geometry, tokenizer, decode)):
        if isinstance(result, RejectedRow):
            rejected.append(result)
        else:
            usable.append(index)
            tokens += result
        if on_progress is not None and (index % CHUNK == CHUNK - 1 or index == len(rows) - 1):
            on_progress(index + 1, len(rows))
    if strict and rejected:
        raise DataError(
            f"{rejected[0]} ({len(rejected)} of {rows.total} rows can't be used; fix them, or set data.strict to false)"
        )
    return Checked(rows.take(usable), rejected, tokens)


def check_sample(
    sample: Sample, geometry: ImageGeometry, tokenizer: PreTrainedTokenizerBase | None = None, *, decode: bool = False
) -> int | RejectedRow:
    """The tokens that the row's images cost, or why the row can't be used."""
    kind = "empty answer"
    try:
        if not sample.text.strip():
            raise DataError("0 answer tokens; is 'text' empty? fill it or remove the row")
        kind = "unreadable image"
        sizes = [image.size for image in sample.images]
        kind = "aspect ratio"
        tokens = sum(geometry.tokens(*size) for size in sizes)
        kind = "special token"
        if tokenizer is not None:
            earlier = [("earlier turn", turn.text) for turn in sample.history]
            texts = [("answer", sample.text), ("prompt", sample.prompt), ("system", sample.system)]
            for what, text in (*texts, *earlier):
                check_special_tokens(tokenizer, text or "", f"the {what}")
        kind = "damaged image"
        if decode:
            for image in sample.images:
                image.load()
    except DataError as error:
        return RejectedRow.from_error(sample, error, kind)
    return tokens


def _results(
    rows: Rows, geometry: ImageGeometry, tokenizer: PreTrainedTokenizerBase | None, decode: bool
) -> Iterator[int | RejectedRow]:
    def check(start: int) -> list[int | RejectedRow]:
        stop = min(start + CHUNK, len(rows))
        return [check_sample(rows[index], geometry, tokenizer, decode=decode) for index in range(start, stop)]

    starts = range(0, len(rows), CHUNK)
    if not decode:
        for start in starts:
            yield from check(start)
        return
    with ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1)) as pool:
        for results in pool.map(check, starts):
            yield from results
