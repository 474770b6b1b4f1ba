"""Which of a row's drawn answers are kept. Pure functions of texts and scores."""

from collections.abc import Sequence
from dataclasses import dataclass

NO_ANSWER, NO_MARGIN, NOT_GOOD, SAME_TEXT = "no answer", "no margin", "not good enough", "same text"
"""Why a row gives nothing, as `RejectedRow.kind`."""


@dataclass(frozen=True)
class Candidate:
    """An answer's text and its weighted score."""

    text: str
    score: float


@dataclass(frozen=True)
class Pair:
    chosen: Candidate
    rejected: Candidate


def best_against_worst(candidates: Sequence[Candidate], margin: float) -> Pair | str:
    """The best and the worst answer, or why there is no pair; of equal scores the first is taken.

    Example:
        scores 0.2, 0.9, 0.5, margin 0.5 -> 0.9 against 0.2;  margin 0.8 -> "no margin"
    """
    usable = [candidate for candidate in candidates if candidate.text.strip()]
    if not usable:
        return NO_ANSWER
    best, worst = max(usable, key=_score), min(usable, key=_score)
    return _pair(best, worst, margin)


def reference_against_worst(reference: Candidate, candidates: Sequence[Candidate], margin: float) -> Pair | str:
    """The row's own text and the worst answer."""
    usable = [candidate for candidate in candidates if candidate.text.strip()]
    return _pair(reference, min(usable, key=_score), margin) if usable else NO_ANSWER


def best_of(candidates: Sequence[Candidate], at_least: float) -> Candidate | str:
    """The best answer, or why it is not kept."""
    usable = [candidate for candidate in candidates if candidate.text.strip()]
    if not usable:
        return NO_ANSWER
    best = max(usable, key=_score)
    return best if best.score >= at_least else NOT_GOOD


def _pair(chosen: Candidate, rejected: Candidate, margin: float) -> Pair | str:
    if chosen.score - rejected.score < margin:
        return NO_MARGIN
    is_same = "".join(chosen.text.split()) == "".join(rejected.text.split())
    return SAME_TEXT if is_same else Pair(chosen, rejected)


def _score(candidate: Candidate) -> float:
    return candidate.score
