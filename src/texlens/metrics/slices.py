"""Scores of parts of a set: by length, by kind of formula, by domain."""

from collections.abc import Sequence

from texlens.metrics.scored_prediction import ScoredPrediction
from texlens.metrics.scores import Scores, Table, table_scores

LENGTHS = ((20, "1–20 tokens"), (50, "21–50 tokens"), (100, "51–100 tokens"))
LONGEST = "more than 100 tokens"
_FRACTIONS = frozenset(["\\frac", "\\dfrac", "\\tfrac", "\\cfrac", "\\over", "\\genfrac", "\\binom", "\\atop"])


def length_slice(row: ScoredPrediction) -> str:
    """By tokens of the reference."""
    tokens = len(row.reference_tokens)
    return next((name for most, name in LENGTHS if tokens <= most), LONGEST)


def kind_slice(row: ScoredPrediction) -> str:
    r"""`matrix` where the reference has an environment or `\\`, else `fraction` where it has one, else `plain`."""
    tokens = row.reference_tokens
    if any(token == "\\\\" or token.startswith("\\begin") for token in tokens):
        return "matrix"
    return "fraction" if not _FRACTIONS.isdisjoint(tokens) else "plain"


def slices(table: Table, *, seed: int = 0, resamples: int = 1000) -> dict[str, dict[str, Scores]]:
    """Scores by `length`, `kind` and, where a row names one, `domain`."""
    parts = {
        "length": [length_slice(row) for row in table.rows],
        "kind": [kind_slice(row) for row in table.rows],
    }
    domains = [row.prediction.domain for row in table.rows]
    if any(domains):
        parts["domain"] = [domain or "other" for domain in domains]
    return {
        name: {part: _of_part(table, names, part, seed, resamples) for part in _in_order(name, names)}
        for name, names in parts.items()
    }


def _of_part(table: Table, names: Sequence[str], part: str, seed: int, resamples: int) -> Scores:
    keep = [row for row, name in enumerate(names) if name == part]
    return table_scores(table.where(keep), seed=seed, resamples=resamples)


def _in_order(name: str, names: Sequence[str]) -> list[str]:
    if name != "length":
        return sorted(set(names))
    return [part for part in (*(label for _, label in LENGTHS), LONGEST) if part in names]
