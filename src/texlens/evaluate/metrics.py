"""The scores: each a small function of one row, listed with its name, title, definition, direction and unit.

A row's metric gives a value for each row and is averaged. A corpus metric gives statistics for each row that are
summed before one value is made of them. To add a score, add an entry; tables, intervals, comparison and report follow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from rapidfuzz.distance import Levenshtein

from texlens.core.prediction import Prediction
from texlens.evaluate.bleu import BLEU_SIGNATURE, BLEU_STATISTICS, bleu_of_sums, bleu_statistics
from texlens.evaluate.loops import has_loop
from texlens.evaluate.rouge import rouge_l
from texlens.latex.tokens import tokenize

Direction = Literal["higher", "lower"]


@dataclass(frozen=True)
class Reading:
    """A prediction beside its truth, both as tokens; a failed one has no text tokens and scores 0 everywhere."""

    prediction: Prediction
    truth_tokens: list[str]
    text_tokens: list[str]

    @classmethod
    def of(cls, prediction: Prediction) -> "Reading":
        text = "" if prediction.stop == "failed" else prediction.text
        return cls(prediction, tokenize(prediction.truth), tokenize(text))

    @property
    def failed(self) -> bool:
        return self.prediction.stop == "failed"

    @cached_property
    def edits(self) -> int:
        """Token insertions, deletions and substitutions between truth and text."""
        return Levenshtein.distance(self.truth_tokens, self.text_tokens)

    @property
    def edit_similarity(self) -> float:
        longer = max(len(self.truth_tokens), len(self.text_tokens))
        return 1 - self.edits / longer if longer else 1.0

    @property
    def is_exact(self) -> bool:
        """Equal in canonical spacing, which is the tokens joined by one space."""
        return self.truth_tokens == self.text_tokens


@dataclass(frozen=True)
class Metric:
    """`of_row` gives a row's value; the score is the mean. A failed row's value is 0, whatever `of_row` says."""

    name: str
    title: str
    definition: str
    of_row: Callable[[Reading], float]
    direction: Direction = "higher"
    unit: str = "share"

    columns = 1

    def statistics(self, reading: Reading) -> tuple[float, ...]:
        return (0.0 if reading.failed else float(self.of_row(reading)),)

    def value(self, sums_S: np.ndarray, rows: int) -> np.ndarray:
        return sums_S[..., 0] / rows


@dataclass(frozen=True)
class CorpusMetric:
    """`of_row` gives a row's `columns` statistics; `of_sums` maps their sums over rows, `[..., S]`, to `[...]`."""

    name: str
    title: str
    definition: str
    of_row: Callable[[Reading], tuple[float, ...]]
    of_sums: Callable[[np.ndarray], np.ndarray]
    columns: int
    direction: Direction = "higher"
    unit: str = "share"

    def statistics(self, reading: Reading) -> tuple[float, ...]:
        return self.of_row(reading)

    def value(self, sums_S: np.ndarray, rows: int) -> np.ndarray:
        return self.of_sums(sums_S)


METRICS: tuple[Metric | CorpusMetric, ...] = (
    Metric(
        "exact_match",
        "Exact match",
        "Share of rows whose text equals the truth once both are spaced alike.",
        lambda reading: reading.is_exact,
    ),
    Metric(
        "within_1",
        "Within 1 token",
        "Share of rows at most 1 token insertion, deletion or substitution away from the truth.",
        lambda reading: reading.edits <= 1,
    ),
    Metric(
        "within_2",
        "Within 2 tokens",
        "Share of rows at most 2 token insertions, deletions or substitutions away from the truth.",
        lambda reading: reading.edits <= 2,
    ),
    Metric(
        "edit_similarity",
        "Edit similarity",
        "1 - token edits / tokens of the longer of truth and text, averaged over rows.",
        lambda reading: reading.edit_similarity,
    ),
    CorpusMetric(
        "bleu4",
        "BLEU-4",
        f"Corpus BLEU on LaTeX tokens, n-grams of 1 to 4, as sacrebleu defines it ({BLEU_SIGNATURE}), divided by 100.",
        lambda reading: bleu_statistics(reading.truth_tokens, reading.text_tokens),
        bleu_of_sums,
        BLEU_STATISTICS,
    ),
    Metric(
        "rouge_l",
        "ROUGE-L",
        "F1 of the longest common subsequence of tokens, averaged over rows.",
        lambda reading: rouge_l(reading.truth_tokens, reading.text_tokens),
    ),
    Metric(
        "length_limit",
        "Length limit",
        "Share of rows cut off at the token limit.",
        lambda reading: reading.prediction.stop == "length",
        "lower",
    ),
    Metric(
        "loops",
        "Loops",
        "Share of rows that repeat a unit of 1 to 8 tokens at least 6 times over at least 12 tokens, "
        "more than twice as long as the truth does.",
        lambda reading: has_loop(reading.truth_tokens, reading.text_tokens),
        "lower",
    ),
)


def metric_named(name: str) -> Metric | CorpusMetric:
    return next(metric for metric in METRICS if metric.name == name)
