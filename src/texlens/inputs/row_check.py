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
from texlens.data.sample import Refusal, Sample
from texlens.inputs.chat_template import refuse_special_tokens

MAX_THREADS = 8
CHUNK = 64


@dataclass(frozen=True)
class Checked:
    """The rows that can be used and those that can't; together they are all rows that were drawn.

    `image_tokens` is of the rows kept.
    """

    kept: Rows
    refused: Sequence[Refusal]
    image_tokens: int

    def account(self) -> dict:
        """Counts for the run folder: rows = kept + refused, refused ones by kind and each with its reason."""
        return {
            "rows": len(self.kept) + len(self.refused),
            "kept": len(self.kept),
            "refused": dict(Counter(refusal.kind for refusal in self.refused)),
            "refused_rows": [str(refusal) for refusal in self.refused],
            "image_tokens": self.image_tokens,
            "fingerprint": self.kept.fingerprint,
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
        tokenizer: with it, texts that spell one of its special tokens are refused too.
        decode: decode every image, in threads, so that truncated ones are found; else headers alone are read.
        strict: any refusal is an error.
        on_progress: called with rows done and rows in all.

    Raises:
        DataError: with `strict`, naming the first row refused and how many there are.
    """
    kept, refused, tokens = [], list(rows.refused), 0
    for index, result in enumerate(_results(rows, geometry, tokenizer, decode)):
        if isinstance(result, Refusal):
            refused.append(result)
        else:
            kept.append(index)
            tokens += result
        if on_progress is not None and (index % CHUNK == CHUNK - 1 or index == len(rows) - 1):
            on_progress(index + 1, len(rows))
    if strict and refused:
        raise DataError(
            f"{refused[0]} ({len(refused)} of {rows.total} rows can't be used; mend them, or set data.strict to false)"
        )
    return Checked(rows.take(kept), refused, tokens)


def check_sample(
    sample: Sample, geometry: ImageGeometry, tokenizer: PreTrainedTokenizerBase | None = None, *, decode: bool = False
) -> int | Refusal:
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
            own = [("answer", sample.text), ("prompt", sample.prompt), ("system", sample.system)]
            for what, text in (*own, *earlier):
                refuse_special_tokens(tokenizer, text or "", f"the {what}")
        kind = "damaged image"
        if decode:
            for image in sample.images:
                image.load()
    except DataError as error:
        return Refusal.of(sample, error, kind)
    return tokens


def _results(
    rows: Rows, geometry: ImageGeometry, tokenizer: PreTrainedTokenizerBase | None, decode: bool
) -> Iterator[int | Refusal]:
    def check(start: int) -> list[int | Refusal]:
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
