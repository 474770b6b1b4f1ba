"""Rows of a comparison as text: the reference, and what every system reads."""

from collections.abc import Sequence

from texlens.evaluation.comparison import Comparison


def rows_text(comparison: Comparison, rows: int, order: Sequence[str] = ()) -> str:
    """The first rows in the order of these ids, else by id.

    Example:
        [7] reference  x ^ { 2 }
            base       x ^ 2        2 edits
            adapter    x ^ { 2 }    exact
    """
    width = max(len(name) for name in ("reference", *comparison.systems))
    ids = [prediction.id for prediction in comparison.predictions[comparison.reference]]
    locations = {row: location for location, row in enumerate(order)}
    indices = sorted(range(comparison.rows), key=lambda index: locations.get(ids[index], len(locations)))
    return "\n\n".join(_row_text(comparison, index, width) for index in indices[:rows])


def _row_text(comparison: Comparison, index: int, width: int) -> str:
    first = comparison.predictions[comparison.reference][index]
    lines = [f"[{first.id}]", f"  {'reference':{width}}  {first.reference}"]
    for name in comparison.systems:
        prediction, scores = comparison.predictions[name][index], comparison.row_scores[name][index]
        if prediction.stop == "failed":
            lines.append(f"  {name:{width}}  failed: {prediction.error}")
            continue
        edits = "exact" if scores.exact else f"{scores.edits} edit{'s' if scores.edits != 1 else ''}"
        cut = ", cut at the token limit" if prediction.stop == "length" else ""
        lines.append(f"  {name:{width}}  {prediction.text}  ({edits}{cut})")
    return "\n".join(lines)
