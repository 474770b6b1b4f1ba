"""Which symbols are read as which: counts of token substitutions, omissions and insertions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from texlens.evaluation.comparison import Comparison
from texlens.latex.parse.tokens import tokenize
from texlens.metrics.prediction import Prediction

MAX_CONFUSIONS = 20
STRUCTURE = frozenset("{}^_&")
"""Tokens that group others and draw nothing."""


@dataclass(frozen=True)
class Confusion:
    """`reference` was read as `read`, empty where a symbol was left out or added; `counts` by system."""

    reference: str
    read: str
    counts: Mapping[str, int]


def confusions(comparison: Comparison, limit: int = MAX_CONFUSIONS) -> list[Confusion]:
    """The most frequent ones of the adapter (else of the first system), with the counts of all systems."""
    counts = {name: confusion_counts(predictions) for name, predictions in comparison.predictions.items()}
    ranked_by = counts.get("adapter") or counts[comparison.reference]
    return [
        Confusion(reference, read, {name: table[reference, read] for name, table in counts.items()})
        for (reference, read), _ in sorted(ranked_by.items(), key=lambda item: (-item[1], item[0]))[:limit]
    ]


def confusion_counts(predictions: Sequence[Prediction]) -> Counter[tuple[str, str]]:
    """
    Example:
        reference "x + 1", text "x - 1 2" -> {("+", "-"): 1, ("", "2"): 1}
    """
    counts: Counter[tuple[str, str]] = Counter()
    for prediction in predictions:
        if prediction.stop != "failed":
            counts.update(_pairs(tokenize(prediction.reference), tokenize(prediction.text)))
    return counts


def _pairs(reference: Sequence[str], text: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of an alignment with as few edits as possible; structure tokens are left out."""
    pairs = []
    for edit in Levenshtein.editops(reference, text):
        expected = reference[edit.src_pos] if edit.tag != "insert" else ""
        read = text[edit.dest_pos] if edit.tag != "delete" else ""
        if not {expected, read} <= STRUCTURE | {""}:
            pairs.append((expected, read))
    return pairs
