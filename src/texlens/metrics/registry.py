"""The scores: each a small function of one row, with its name, title, definition, direction and unit.

A `Metric` has a value per row and is averaged. A `CorpusMetric` has statistics per row, summed before its value is
computed. To add a score, add an entry here and its name to the sets it belongs to; tables, intervals, comparison
and report follow.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from texlens.core.errors import ConfigError
from texlens.core.notes import print_note
from texlens.metrics.bleu import BLEU_SIGNATURE, BLEU_STATISTICS, bleu_of_sums, bleu_statistics
from texlens.metrics.captions import caption_bleu_statistics, caption_rouge_l, caption_words, references
from texlens.metrics.cider import cider_of_set
from texlens.metrics.repetition import has_loop
from texlens.metrics.rouge import rouge_l
from texlens.metrics.scored_prediction import ScoredPrediction

Direction = Literal["higher", "lower"]


@dataclass(frozen=True)
class Metric:
    """`of_row` returns a row's value; the score is the mean. A failed row's value is always 0."""

    name: str
    title: str
    definition: str
    of_row: Callable[[ScoredPrediction], float]
    direction: Direction = "higher"
    unit: str = "share"

    of_set: Callable[[Sequence[ScoredPrediction]], Callable[[ScoredPrediction], float]] | None = None
    """For a score that depends on all rows of the set: returns `of_row` for them."""

    columns: ClassVar[int] = 1
    """Statistics per row."""

    def for_set(self, scored: Sequence[ScoredPrediction]) -> "Metric":
        return replace(self, of_row=self.of_set(scored)) if self.of_set else self

    def statistics(self, row: ScoredPrediction) -> tuple[float, ...]:
        return (0.0 if row.failed else float(self.of_row(row)),)

    def value(self, sums_S: np.ndarray, rows: int) -> np.ndarray:
        return sums_S[..., 0] / rows


@dataclass(frozen=True)
class CorpusMetric:
    """`of_row` gives a row's `columns` statistics; `of_sums` maps their sums over rows, `[..., S]`, to `[...]`."""

    name: str
    title: str
    definition: str
    of_row: Callable[[ScoredPrediction], tuple[float, ...]]
    of_sums: Callable[[np.ndarray], np.ndarray]
    columns: int
    direction: Direction = "higher"
    unit: str = "share"

    def for_set(self, scored: Sequence[ScoredPrediction]) -> "CorpusMetric":
        return self

    def statistics(self, row: ScoredPrediction) -> tuple[float, ...]:
        return self.of_row(row)

    def value(self, sums_S: np.ndarray, rows: int) -> np.ndarray:
        return self.of_sums(sums_S)


AnyMetric = Metric | CorpusMetric


def rate(sums_S: np.ndarray) -> np.ndarray:
    """The first sum over the second; 0 where the second is 0."""
    return np.divide(sums_S[..., 0], sums_S[..., 1], out=np.zeros(sums_S.shape[:-1]), where=sums_S[..., 1] > 0)


def _character_errors(row: ScoredPrediction) -> tuple[float, ...]:
    return tuple(map(float, row.characters))


METRICS: tuple[AnyMetric, ...] = (
    Metric(
        "exact_match",
        "Exact match",
        "Share of rows whose text equals the reference once both are spaced alike.",
        lambda row: row.is_exact,
    ),
    Metric(
        "within_1",
        "Within 1 token",
        "Share of rows at most 1 token insertion, deletion or substitution away from the reference.",
        lambda row: row.edits <= 1,
    ),
    Metric(
        "within_2",
        "Within 2 tokens",
        "Share of rows at most 2 token insertions, deletions or substitutions away from the reference.",
        lambda row: row.edits <= 2,
    ),
    Metric(
        "edit_similarity",
        "Edit similarity",
        "1 - token edits / tokens of the longer of reference and text, averaged over rows.",
        lambda row: row.edit_similarity,
    ),
    CorpusMetric(
        "bleu4",
        "BLEU-4",
        f"Corpus BLEU on LaTeX tokens, n-grams of 1 to 4, as sacrebleu defines it ({BLEU_SIGNATURE}), divided by 100.",
        lambda row: bleu_statistics(row.reference_tokens, row.text_tokens),
        bleu_of_sums,
        BLEU_STATISTICS,
    ),
    Metric(
        "rouge_l",
        "ROUGE-L",
        "F1 of the longest common subsequence of tokens, averaged over rows.",
        lambda row: rouge_l(row.reference_tokens, row.text_tokens),
    ),
    Metric(
        "length_limit",
        "Length limit",
        "Share of rows cut off at the token limit.",
        lambda row: row.prediction.stop == "length",
        "lower",
    ),
    Metric(
        "repetition",
        "Repetition",
        "Share of rows that repeat a unit of 1 to 8 tokens at least 6 times over at least 12 tokens, "
        "more than twice as long as the reference does.",
        lambda row: has_loop(row.reference_tokens, row.text_tokens),
        "lower",
    ),
    Metric(
        "exact_match_raw",
        "Raw match",
        "Share of rows whose text is the reference, character by character.",
        lambda row: row.text == row.reference,
    ),
    Metric(
        "exact_match_canonical",
        "Canonical match",
        "Share of rows whose text and reference have one canonical form; what does not parse is compared as tokens.",
        lambda row: row.is_canonically_exact,
    ),
    Metric(
        "exact_match_spaceless",
        "Spaceless match",
        "Share of rows whose text and reference have one canonical form once spacing commands and fence sizes are left "
        "out.",
        lambda row: row.is_spaceless_exact,
    ),
    Metric(
        "exact_match_picture",
        "Picture match",
        "Share of rows whose text and reference are drawn alike.",
        lambda row: row.is_exact_as_picture,
    ),
    Metric(
        "within_3",
        "Within 3 tokens",
        "Share of rows at most 3 token insertions, deletions or substitutions away from the reference.",
        lambda row: row.edits <= 3,
    ),
    CorpusMetric(
        "character_error_rate",
        "Char error rate",
        "Character edits / characters of the reference, both summed over rows, without white space.",
        _character_errors,
        rate,
        2,
        "lower",
        "rate",
    ),
    Metric(
        "valid",
        "Valid",
        "Share of rows whose text is not empty, parses and can be drawn.",
        lambda row: row.is_valid,
    ),
    Metric(
        "cdm_precision",
        "CDM precision",
        "Share of the text's visible tokens that match one of the reference in name and place, averaged over rows.",
        lambda row: row.cdm.precision,
    ),
    Metric(
        "cdm_recall",
        "CDM recall",
        "Share of the reference's visible tokens that match one of the text in name and place, averaged over rows.",
        lambda row: row.cdm.recall,
    ),
    Metric(
        "cdm_f1",
        "CDM F1",
        "Character detection matching: 2 x matched tokens / tokens of reference and text, averaged over rows.",
        lambda row: row.cdm.f1,
    ),
    Metric(
        "cdm_exact",
        "CDM exact",
        "Share of rows with CDM F1 = 1: every visible token has its match (ExpRate@CDM).",
        lambda row: row.cdm.exact,
    ),
)

CAPTION_METRICS: tuple[AnyMetric, ...] = (
    CorpusMetric(
        "caption_bleu4",
        "Caption BLEU-4",
        "Corpus BLEU on words against all captions of an image, n-grams of 1 to 4, smoothed as bleu4 is.",
        lambda row: caption_bleu_statistics(references(row.prediction), caption_words(row.text)),
        bleu_of_sums,
        BLEU_STATISTICS,
    ),
    Metric(
        "caption_rouge_l",
        "Caption ROUGE-L",
        "Best precision and best recall of the longest common subsequence of words over an image's captions, in an F "
        "with beta 1.2, averaged over rows.",
        lambda row: caption_rouge_l(references(row.prediction), caption_words(row.text)),
    ),
    Metric(
        "cider",
        "CIDEr",
        "CIDEr-D, 0 to 10: likeness to an image's captions in n-grams of 1 to 4 words, weighted by how few other "
        "images have them, averaged over rows.",
        lambda row: cider_of_set([row])(row),
        unit="score",
        of_set=cider_of_set,
    ),
)
"""Scores of sentences, in words; chosen by name, or by the set `captions`."""


SLIP_METRICS: tuple[AnyMetric, ...] = (
    CorpusMetric(
        "error_preservation",
        "Error preservation",
        "Of the rows with a deliberate slip whose text is nearer to the reference or to the corrected formula (token "
        "edits of canonical forms), the share that keep the slip.",
        lambda row: (float(row.slip_kept is True), float(row.slip_kept is not None)),
        rate,
        2,
    ),
)
"""Scores of rows with a column `corrected`; chosen by name."""

PAIRED_METRIC = "exact_match"
"""The score of McNemar's test."""

SETS: Mapping[str, tuple[str, ...]] = {
    "all": tuple(metric.name for metric in METRICS),
    "formulas": (
        *("exact_match", "exact_match_raw", "exact_match_canonical", "exact_match_spaceless", "exact_match_picture"),
        *("within_1", "within_2", "within_3", "edit_similarity", "character_error_rate", "bleu4", "rouge_l"),
        *("cdm_precision", "cdm_recall", "cdm_f1", "cdm_exact", "valid", "length_limit", "repetition"),
    ),
    "captions": ("exact_match", "caption_bleu4", "caption_rouge_l", "cider", "length_limit", "repetition"),
}
"""Metrics for a task, by name; `all` is everything but the caption scores."""
OLD_NAMES: Mapping[str, str] = {"loops": "repetition"}
_EVERY = (*METRICS, *CAPTION_METRICS, *SLIP_METRICS)


def metric_named(name: str) -> AnyMetric:
    return next(metric for metric in _EVERY if metric.name == name)


def chosen_metrics(names: str | Sequence[str], key: str = "--metrics") -> tuple[AnyMetric, ...]:
    """The metrics named, singly or by a set of `SETS`, in the registry's order; a string holds several with commas.

    Raises:
        ConfigError: no metric of that name; `key` is the setting that named it.
    """
    requested = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    for old in OLD_NAMES.keys() & set(requested):
        print_note(f"{key}: {old} is the old name of {OLD_NAMES[old]}; it still works but will be removed")
    requested = [OLD_NAMES.get(name, name) for name in requested]
    known = [*SETS, *sorted(metric.name for metric in _EVERY)]
    if unknown := [name for name in requested if name not in known]:
        near = difflib.get_close_matches(unknown[0], known, 1, 0.6)
        meant = f"did you mean {near[0]!r}? There are" if near else "choose from"
        raise ConfigError(f"{key}: no metric is named {unknown[0]!r}; {meant} {', '.join(known)}")
    single = {name for request in requested for name in SETS.get(request, (request,))}
    return tuple(metric for metric in _EVERY if metric.name in single)


def run_metrics(names: Sequence[str], key: str = "evaluate.metrics") -> tuple[AnyMetric, ...]:
    """`chosen_metrics` with exact match, which the paired test uses.

    Raises:
        ConfigError: no metric of that name.
    """
    return chosen_metrics([PAIRED_METRIC, *names], key)
