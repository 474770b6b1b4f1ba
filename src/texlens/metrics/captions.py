"""Scores of captions: words as the COCO scorer splits them, and BLEU-4 and ROUGE-L against several references.

Chen et al. 2015 (arXiv:1504.00325), section 3. Their scorer runs Stanford's PTB tokenizer in Java; `caption_words` is
our own rule; `docs/reference/metrics/cider.md` lists the differences.
"""

import re
from collections import Counter
from collections.abc import Sequence

from rapidfuzz.distance import LCSseq

from texlens.metrics.bleu import ORDERS
from texlens.metrics.prediction import Prediction

ROUGE_BETA = 1.2
_WORD = re.compile(r"[^\W_]+(?:[-.,:/'’][^\W_]+)*|[$%&#@+=]")
_CLITIC = re.compile(r"(?<=\w)(n['’]t|['’](?:s|re|ve|ll|d|m))$")
_THOUSANDS = re.compile(r"\d,\d")


def caption_words(text: str) -> list[str]:
    """Lower case, without punctuation, contractions in two.

    Example:
        caption_words("A man's T-shirt doesn't fit.") == ["a", "man", "'s", "t-shirt", "does", "n't", "fit"]
    """
    return [part for word in _WORD.findall(text.lower()) for part in _parts(word)]


def _parts(word: str) -> list[str]:
    if "," in word and not _THOUSANDS.search(word):
        return [part for piece in word.split(",") for part in _parts(piece)]
    clitic = _CLITIC.search(word)
    return [word[: clitic.start()], clitic.group().replace("’", "'")] if clitic else [word]


def references(prediction: Prediction) -> list[list[str]]:
    """The words of every accepted caption."""
    return [caption_words(reference) for reference in prediction.references]


def caption_bleu_statistics(references: Sequence[Sequence[str]], text: Sequence[str]) -> tuple[int, ...]:
    """As `bleu_statistics`: an n-gram counts as often as in the reference that has it most; the reference nearest in
    length (the shorter of two) is the one whose length counts."""
    nearest = min((len(reference) for reference in references), key=lambda size: (abs(size - len(text)), size))
    matched, total = [], []
    for order in range(1, ORDERS + 1):
        most: Counter = Counter()
        for reference in references:
            most |= ngrams(reference, order)
        matched.append((ngrams(text, order) & most).total())
        total.append(max(len(text) - order + 1, 0))
    return (len(text), nearest, *matched, *total)


def caption_rouge_l(references: Sequence[Sequence[str]], text: Sequence[str]) -> float:
    """The best precision and the best recall of the longest common subsequence, in an F with beta 1.2."""
    if not text:
        return 0.0
    common = [(LCSseq.similarity(reference, text), len(reference)) for reference in references]
    precision = max(length for length, _ in common) / len(text)
    recall = max(length / size if size else 0.0 for length, size in common)
    if not precision or not recall:
        return 0.0
    return (1 + ROUGE_BETA**2) * precision * recall / (recall + ROUGE_BETA**2 * precision)


def ngrams(words: Sequence[str], order: int) -> Counter:
    return Counter(zip(*(words[start:] for start in range(order)), strict=False))
