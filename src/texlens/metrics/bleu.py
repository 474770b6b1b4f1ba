"""Corpus BLEU-4 on LaTeX tokens, from statistics that add up over rows, so a bootstrap costs one matrix product.

Papineni et al. 2002, with sacrebleu's conventions; the tests hold the value against sacrebleu's own.
N = rows, S = 10 statistics of a row: text length, reference length, 4 x matched n-grams, 4 x n-grams of the text.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

ORDERS = 4
BLEU_STATISTICS = 2 + 2 * ORDERS
BLEU_SIGNATURE = "nrefs:1|case:mixed|eff:no|tok:none|smooth:exp"
"""What sacrebleu prints for this definition."""


def bleu_statistics(reference: Sequence[str], text: Sequence[str]) -> tuple[int, ...]:
    """The statistics of one row.

    Example:
        reference = [x, ^, 2], text = [x, ^, 3]
        (3, 3,   2, 1, 0, 0,   3, 2, 1, 0)
    """
    matched, total = [], []
    for order in range(1, ORDERS + 1):
        of_text, of_reference = _ngrams(text, order), _ngrams(reference, order)
        matched.append(sum(min(count, of_reference[gram]) for gram, count in of_text.items() if gram in of_reference))
        total.append(max(len(text) - order + 1, 0))
    return (len(text), len(reference), *matched, *total)


def bleu_of_sums(sums_S: np.ndarray) -> np.ndarray:
    """BLEU in 0..1 for sums of statistics over rows, `[..., S]` to `[...]`.

    An order with no match counts as 1 / (2^k x total) for the k-th such order (NIST smoothing, sacrebleu's `exp`).
    Nothing matched at all, or no n-gram of some order, gives 0.
    """
    sums = np.asarray(sums_S, dtype=np.float64)
    text_length, reference_length = sums[..., 0], sums[..., 1]
    matched, total = sums[..., 2 : 2 + ORDERS], sums[..., 2 + ORDERS :]
    missed = matched == 0
    smoothed = np.where(missed, 0.5 ** np.cumsum(missed, axis=-1), matched)
    defined = (matched[..., 0] > 0) & (total > 0).all(axis=-1)
    precision = np.where(defined[..., None], smoothed, 1.0) / np.maximum(total, 1)
    brevity = np.minimum(0.0, 1 - reference_length / np.maximum(text_length, 1))
    return np.where(defined, np.exp(brevity + np.log(precision).mean(axis=-1)), 0.0)


def _ngrams(tokens: Sequence[str], order: int) -> Counter:
    return Counter(tokens) if order == 1 else Counter(zip(*(tokens[start:] for start in range(order)), strict=False))


NLTK_SIGNATURE = "nltk corpus_bleu, weights 1/4, smoothing method4"
_CHEN_CHERRY_K = 5


def nltk_statistics(reference: Sequence[str], text: Sequence[str]) -> tuple[int, ...]:
    """As `bleu_statistics`, but a text too short for n-grams of an order counts one of them, as NLTK has it."""
    statistics = bleu_statistics(reference, text)
    return (*statistics[: 2 + ORDERS], *(max(total, 1) for total in statistics[2 + ORDERS :]))


def nltk_bleu_of_sums(sums_S: np.ndarray) -> np.ndarray:
    """NLTK's corpus BLEU for sums of `nltk_statistics`; orders without a match are smoothed by its method 4.

    Chen and Cherry 2014, section 3, smoothing 4: the k-th such order counts log(text length) / (2^k x 5) matches,
    and does not count in a corpus of one token.
    """
    sums = np.asarray(sums_S, dtype=np.float64)
    text_length, reference_length = sums[..., 0], sums[..., 1]
    matched, total = sums[..., 2 : 2 + ORDERS], sums[..., 2 + ORDERS :]
    missed = matched == 0
    logs = np.log(np.maximum(text_length, 1))[..., None]
    filled = 0.5 ** np.cumsum(missed, axis=-1) * logs / _CHEN_CHERRY_K
    smoothed = np.where(missed, np.where(logs > 0, filled, np.maximum(total, 1)), matched)
    defined = (matched[..., 0] > 0) & (text_length > 0)
    precision = np.where(defined[..., None], smoothed, 1.0) / np.maximum(total, 1)
    brevity = np.minimum(0.0, 1 - reference_length / np.maximum(text_length, 1))
    return np.where(defined, np.exp(brevity + np.log(precision).mean(axis=-1)), 0.0)
