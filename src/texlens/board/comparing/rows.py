"""Rows of a comparison side by side: filtered, sorted, and a page of them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from texlens.evaluation.comparison import Comparison
from texlens.evaluation.report.gallery import row_entry

PAGE_ROWS = 20
Key = Callable[[int], Any]


@dataclass(frozen=True)
class ComparedRowFilter:
    """Which rows, in which order.

    Attributes:
        differ: only rows that the systems read differently.
        outcome: `fixed`, `broken`, `wrong` or `right` (see `evaluation.report.gallery.OUTCOMES`); empty for all.
        domain: empty for all.
        search: part of an id, a reference or a reading.
        min_length, max_length: of the reference, in characters.
        max_confidence: only rows where some system's confidence is at most this.
        sort: worst, length, confidence or id.
    """

    differ: bool = False
    outcome: str = ""
    domain: str = ""
    search: str = ""
    min_length: int = 0
    max_length: int = 1_000_000
    max_confidence: float = 1.0
    sort: str = "worst"


def matching_rows(comparison: Comparison, chosen: ComparedRowFilter) -> list[int]:
    """Indices of the rows, in order."""
    indices = [index for index in range(comparison.rows) if _matches(comparison, index, chosen)]
    return sorted(indices, key=_sort_key(comparison, chosen.sort))


def page_of_rows(
    comparison: Comparison, chosen: ComparedRowFilter, start: int, count: int = PAGE_ROWS
) -> dict[str, Any]:
    indices = matching_rows(comparison, chosen)
    return {
        "total": comparison.rows,
        "matching": len(indices),
        "start": start,
        "systems": list(comparison.systems),
        "rows": [_entry(comparison, index) for index in indices[start : start + count]],
    }


def confidence_of(comparison: Comparison, system: str, index: int) -> float | None:
    """The probability of the whole reading, from 0 to 1; None where the system reports none."""
    value = comparison.predictions[system][index].log_probability
    return None if value is None else math.exp(value)


def _entry(comparison: Comparison, index: int) -> dict[str, Any]:
    entry = row_entry(comparison, index)
    for system, text in zip(comparison.systems, entry["texts"], strict=True):
        text["confidence"] = confidence_of(comparison, system, index)
        text["plain"] = comparison.predictions[system][index].text
    return entry | {"plain": comparison.predictions[comparison.reference][index].reference}


def _matches(comparison: Comparison, index: int, chosen: ComparedRowFilter) -> bool:
    predictions = [rows[index] for rows in comparison.predictions.values()]
    first = predictions[0]
    texts = {prediction.text for prediction in predictions}
    confidences = [confidence_of(comparison, system, index) for system in comparison.systems]
    haystack = " ".join([first.id, first.reference, *texts]).lower()
    return (
        (not chosen.differ or len(texts) > 1)
        and (not chosen.domain or (first.domain or "other") == chosen.domain)
        and (not chosen.outcome or row_entry(comparison, index)["outcome"] == chosen.outcome)
        and chosen.min_length <= len(first.reference) <= chosen.max_length
        and (chosen.max_confidence >= 1 or any(c is not None and c <= chosen.max_confidence for c in confidences))
        and chosen.search.lower() in haystack
    )


def _sort_key(comparison: Comparison, name: str) -> Key:
    """Worst first is by the lowest edit similarity of the systems; equal rows are in order of id."""
    if name == "length":
        return lambda index: (-len(_first(comparison, index).reference), index)
    if name == "confidence":
        return lambda index: (min(_known_confidences(comparison, index), default=2.0), index)
    if name == "id":
        return lambda index: index
    return lambda index: (_lowest_similarity(comparison, index), index)


def _first(comparison: Comparison, index: int) -> Any:
    return comparison.predictions[comparison.reference][index]


def _known_confidences(comparison: Comparison, index: int) -> list[float]:
    values = [confidence_of(comparison, system, index) for system in comparison.systems]
    return [value for value in values if value is not None]


def _lowest_similarity(comparison: Comparison, index: int) -> float:
    scores = [rows[index] for rows in comparison.row_scores.values()]
    return min(score.values.get("edit_similarity", float(score.exact)) for score in scores)
