"""Better or not: two models on the same held-out rows, and what follows from it.

A row is right if its reading has the canonical form of the correction. The trained model is kept if it is right on
more rows and McNemar's exact test gives p < 0.05 (two-sided, over the rows on which one of the two alone is right),
and if it has not become worse, by the same test, on rows of the kind that it could read before.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from texlens.core.errors import DataError
from texlens.evaluation.comparison import compare
from texlens.metrics.prediction import Prediction
from texlens.metrics.registry import run_metrics
from texlens.metrics.statistics import mcnemar_exact

Outcome = Literal["better", "worse", "uncertain", "forgets"]
SIGNIFICANCE = 0.05
METRICS = ("exact_match", "exact_match_canonical", "edit_similarity")
RIGHT = "exact_match_canonical"
CORRECTED, REHEARSAL = "corrected", "rehearsal"
"""Domains of rows: images of the folder, and rows of the kind that the model could read before."""


@dataclass(frozen=True)
class PairedTest:
    """Two models on the same rows; `gained` are right after training alone, `lost` were right before alone.

    `before`, `after` and `difference` are shares of right rows with their 95% intervals: value, low, high.
    """

    rows: int
    gained: int
    lost: int
    p_value: float
    before: dict[str, float]
    after: dict[str, float]
    difference: dict[str, float]
    edit_similarity: dict[str, dict[str, float]]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Decision:
    """`guard` is the test on rows of the old kind; None where there are none."""

    outcome: Outcome
    hold_out: PairedTest
    guard: PairedTest | None

    @property
    def is_kept(self) -> bool:
        return self.outcome == "better"

    @property
    def sentence(self) -> str:
        """
        Example:
            "kept: right on 31 of 40 held-out rows instead of 12 (19 gained, 0 lost, p = 4e-06)"
        """
        test = self.hold_out
        right = [round(score["value"] * test.rows) for score in (test.before, test.after)]
        numbers = f"{test.gained} gained, {test.lost} lost, p = {test.p_value:.1g}"
        result = f"right on {right[1]} of {test.rows} held-out rows instead of {right[0]} ({numbers})"
        if self.outcome == "better":
            return f"kept: {result}"
        if self.outcome == "worse":
            return f"discarded: {result}"
        if self.outcome == "forgets" and self.guard is not None:
            lost = f"{self.guard.lost} lost and {self.guard.gained} gained of {self.guard.rows} rows of the old kind"
            return f"discarded: it forgets, {lost} (p = {self.guard.p_value:.1g}); {result}"
        return f"discarded: not certain, {result}; correct more images, so that more are held out"

    def to_json(self) -> dict[str, Any]:
        guard = self.guard.to_json() if self.guard else None
        return {"outcome": self.outcome, "sentence": self.sentence, "hold_out": self.hold_out.to_json(), "guard": guard}


def decide(before: Sequence[Prediction], after: Sequence[Prediction], *, seed: int = 0) -> Decision:
    """
    Args:
        before, after: of the same rows, with the domains `corrected` and `rehearsal`.

    Raises:
        DataError: no held-out row, or predictions of different rows.
    """
    tests = {domain: _paired(before, after, domain, seed) for domain in (CORRECTED, REHEARSAL)}
    hold_out, guard = tests[CORRECTED], tests[REHEARSAL]
    if hold_out is None:
        raise DataError("no held-out row was corrected; correct some more images")
    return Decision(_outcome(hold_out, guard), hold_out, guard)


def _outcome(hold_out: PairedTest, guard: PairedTest | None) -> Outcome:
    if hold_out.p_value >= SIGNIFICANCE:
        return "uncertain"
    if hold_out.gained < hold_out.lost:
        return "worse"
    if guard is not None and guard.lost > guard.gained and guard.p_value < SIGNIFICANCE:
        return "forgets"
    return "better"


def _paired(before: Sequence[Prediction], after: Sequence[Prediction], domain: str, seed: int) -> PairedTest | None:
    systems = {
        name: [prediction for prediction in predictions if prediction.domain == domain]
        for name, predictions in (("before", before), ("after", after))
    }
    if not systems["before"] and not systems["after"]:
        return None
    comparison = compare(systems, seed=seed, metrics=run_metrics(METRICS))
    right = {name: [row.values[RIGHT] == 1 for row in rows] for name, rows in comparison.row_scores.items()}
    pairs = list(zip(right["before"], right["after"], strict=True))
    gained, lost = pairs.count((False, True)), pairs.count((True, False))
    scores = {name: comparison.systems[name].values for name in systems}
    return PairedTest(
        rows=comparison.rows,
        gained=gained,
        lost=lost,
        p_value=mcnemar_exact(gained, lost),
        before=scores["before"][RIGHT].to_json(),
        after=scores["after"][RIGHT].to_json(),
        difference=comparison.pairs[0].differences[RIGHT].to_json(),
        edit_similarity={name: values["edit_similarity"].to_json() for name, values in scores.items()},
    )
