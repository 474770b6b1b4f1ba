"""A comparison as a table: a line for each score, a column for each system, differences with paired intervals."""

from typing import Any

from texlens.evaluation.comparison import Comparison
from texlens.evaluation.tables import p_text, shown_metrics, verdict
from texlens.metrics.registry import metric_named


def comparison_table(comparison: Comparison) -> dict[str, Any]:
    """JSON values; `verdict` is better, worse or unsure, by whether the paired interval excludes 0."""
    scores = comparison.systems[comparison.reference]
    shown = {metric.name for metric in shown_metrics(scores.metrics)}
    return {
        "rows": comparison.rows,
        "reference": comparison.reference,
        "systems": list(comparison.systems),
        "metrics": [
            {
                "name": metric.name,
                "title": metric.title,
                "definition": metric.definition,
                "is_share": metric.unit == "share",
                "is_main": metric.name in shown,
                "values": {name: scores.values[metric.name].to_json() for name, scores in comparison.systems.items()},
                "differences": {pair.system: _difference(pair, metric) for pair in comparison.pairs},
            }
            for metric in scores.metrics
        ],
        "pairs": [
            {
                "system": pair.system,
                "both": pair.both,
                "only_system": pair.only_system,
                "only_reference": pair.only_reference,
                "neither": pair.neither,
                "p": p_text(pair.p_adjusted),
            }
            for pair in comparison.pairs
        ],
        "domains": [_domain(name, part) for name, part in comparison.domains.items()],
    }


def _difference(pair: Any, metric: Any) -> dict[str, Any]:
    difference = pair.differences[metric.name]
    return difference.to_json() | {"verdict": verdict(metric, difference)}


def _domain(name: str, part: Comparison) -> dict[str, Any]:
    exact = metric_named("exact_match")
    return {
        "name": name,
        "rows": part.rows,
        "values": {system: scores.values["exact_match"].to_json() for system, scores in part.systems.items()},
        "differences": {pair.system: _difference(pair, exact) for pair in part.pairs},
    }
