"""Systems compared on the same rows: scores, paired differences, and the rows on which they differ."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from texlens.core.errors import DataError
from texlens.metrics.cdm import RULES, Rules
from texlens.metrics.prediction import Prediction
from texlens.metrics.registry import METRICS, PAIRED_METRIC, AnyMetric
from texlens.metrics.scores import RowScore, ScoredRow, Scores, Table, checked, named, scores_of, values_of
from texlens.metrics.statistics import RESAMPLES, Interval, mcnemar_exact, percentile_interval, resampled_sums

TEST = "mcnemar-exact"


@dataclass(frozen=True)
class PairedResult:
    """A system compared with the reference system: counts of rows by which of the two has them exactly right, and the
    difference of every score. `p_adjusted` is `p_value` corrected for the number of comparisons (Holm)."""

    system: str
    reference: str
    both: int
    only_system: int
    only_reference: int
    neither: int
    p_value: float
    p_adjusted: float
    differences: Mapping[str, Interval]

    @property
    def name(self) -> str:
        return f"{self.system}_vs_{self.reference}"

    def to_json(self) -> dict:
        difference = self.differences[PAIRED_METRIC].to_json()
        return {
            "metric": PAIRED_METRIC,
            "both": self.both,
            f"only_{self.system}": self.only_system,
            f"only_{self.reference}": self.only_reference,
            "neither": self.neither,
            "difference": difference["value"],
            "low": difference["low"],
            "high": difference["high"],
            "p_value": self.p_value,
            "p_adjusted": self.p_adjusted,
            "test": TEST,
            "differences": {name: interval.to_json() for name, interval in self.differences.items()},
        }


@dataclass(frozen=True)
class Comparison:
    """Systems by name, the first is the reference system; `domains` holds the same for the rows of each domain.

    `predictions` and `row_scores` are by system, sorted by id, so that index i is the same row everywhere.
    """

    rows: int
    systems: Mapping[str, Scores]
    pairs: Sequence[PairedResult]
    predictions: Mapping[str, Sequence[Prediction]]
    row_scores: Mapping[str, Sequence[RowScore]]
    tables: Mapping[str, Table]
    seed: int = 0
    resamples: int = RESAMPLES
    domains: Mapping[str, "Comparison"] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        return next(iter(self.systems))

    def to_json(self) -> dict:
        value = {
            "rows": self.rows,
            "systems": {name: scores.to_json() for name, scores in self.systems.items()},
            "paired": {pair.name: pair.to_json() for pair in self.pairs},
        }
        if self.domains:
            value["domains"] = {name: comparison.to_json() for name, comparison in self.domains.items()}
        return value

    def with_reference(self, reference: str, *, without: Collection[str] = ()) -> "Comparison":
        """The same rows with another system as the reference; no row is scored again."""
        others = [name for name in self.tables if name != reference and name not in without]
        tables = {name: self.tables[name] for name in (reference, *others)}
        return _compared(tables, _domains(tables[reference]), self.seed, self.resamples)


def compare(
    systems: Mapping[str, Sequence[Prediction]],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    rules: Rules = RULES["default"],
    metrics: tuple[AnyMetric, ...] = METRICS,
    clean: bool = True,
    known: Mapping[Prediction, ScoredRow] = MappingProxyType({}),
) -> Comparison:
    """Scores every system and compares each with the first; one system alone gives a comparison without pairs.

    `metrics` must contain exact match (`run_metrics` adds it). `known` has rows that were scored before, as `Table.of`.

    Raises:
        DataError: no system or no rows; an id occurs twice, is missing in a system or has another reference there.
    """
    if not systems:
        raise DataError("no systems to compare; give at least one set of predictions")
    tables = {
        name: Table.of(checked(predictions, name), metrics=metrics, rules=rules, clean=clean, known=known)
        for name, predictions in systems.items()
    }
    _check_same_rows(tables)
    return _compared(tables, _domains(next(iter(tables.values()))), seed, resamples)


def _compared(tables: Mapping[str, Table], domains: Mapping[str, list[int]], seed: int, resamples: int) -> Comparison:
    first = next(iter(tables.values()))
    rows = len(first.rows)
    statistics_NS = np.concatenate([table.statistics_NS for table in tables.values()], axis=1)
    sums = np.split(resampled_sums(statistics_NS, resamples=resamples, seed=seed), len(tables), axis=1)
    resampled = {name: values_of(part, rows, first.metrics) for name, part in zip(tables, sums, strict=True)}
    scores = {name: scores_of(table, resampled[name]) for name, table in tables.items()}
    row_scores = {name: table.row_scores() for name, table in tables.items()}
    reference, *others = tables
    return Comparison(
        rows=rows,
        systems=scores,
        pairs=_adjusted([_pair(name, reference, scores, resampled, row_scores) for name in others]),
        predictions={name: [row.prediction for row in table.rows] for name, table in tables.items()},
        row_scores=row_scores,
        tables=tables,
        seed=seed,
        resamples=resamples,
        domains={
            domain: _compared({name: table.where(keep) for name, table in tables.items()}, {}, seed, resamples)
            for domain, keep in domains.items()
        },
    )


def _pair(
    system: str,
    reference: str,
    scores: Mapping[str, Scores],
    resampled: Mapping[str, Mapping[str, np.ndarray]],
    row_scores: Mapping[str, Sequence[RowScore]],
) -> PairedResult:
    right = np.array([row.exact for row in row_scores[system]])
    right_before = np.array([row.exact for row in row_scores[reference]])
    gained, lost = int((right & ~right_before).sum()), int((~right & right_before).sum())
    return PairedResult(
        system=system,
        reference=reference,
        both=int((right & right_before).sum()),
        only_system=gained,
        only_reference=lost,
        neither=int((~right & ~right_before).sum()),
        p_value=(p_value := mcnemar_exact(gained, lost)),
        p_adjusted=p_value,
        differences={
            name: percentile_interval(
                interval.value - scores[reference].values[name].value,
                resampled[system][name] - resampled[reference][name],
            )
            for name, interval in scores[system].values.items()
        },
    )


def _adjusted(pairs: Sequence[PairedResult]) -> list[PairedResult]:
    """Holm's step-down correction of the p-values (Holm 1979): the k-th smallest of n counts n - k + 1 times."""
    order = sorted(range(len(pairs)), key=lambda index: pairs[index].p_value)
    adjusted, largest = list(pairs), 0.0
    for step, index in enumerate(order):
        largest = max(largest, min(1.0, pairs[index].p_value * (len(pairs) - step)))
        adjusted[index] = replace(pairs[index], p_adjusted=largest)
    return adjusted


def _domains(table: Table) -> dict[str, list[int]]:
    """Row indices by domain; empty unless a row names one. Rows without a domain are under `other`."""
    named_domains = [row.prediction.domain for row in table.rows]
    if not any(named_domains):
        return {}
    names = sorted({domain or "other" for domain in named_domains})
    return {name: [row for row, domain in enumerate(named_domains) if (domain or "other") == name] for name in names}


def _check_same_rows(tables: Mapping[str, Table]) -> None:
    reference, *others = tables
    expected = _references(tables[reference])
    for name in others:
        other_references = _references(tables[name])
        if missing := [row for row in expected if row not in other_references]:
            raise DataError(f"{named(missing)} of '{reference}' missing in '{name}'; evaluate both on the same split")
        if extra := [row for row in other_references if row not in expected]:
            raise DataError(f"{named(extra)} of '{name}' missing in '{reference}'; evaluate both on the same split")
        if other := [row for row in expected if expected[row] != other_references[row]]:
            raise DataError(
                f"{named(other)}: the reference differs between '{reference}' and '{name}'; "
                "evaluate both on the same data"
            )


def _references(table: Table) -> dict[str, str]:
    return {row.prediction.id: row.prediction.reference for row in table.rows}
