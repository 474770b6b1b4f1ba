"""When a trial ends early: its validation loss or score is worse than an earlier trial's, surely, at no later a point.

A trial is compared with what the trials before it had measured at the same share of their steps, or earlier. So many
comparisons are made that the level of each is divided by their number (Bonferroni): the chance that a sweep ends any
trial that was no worse at that point is at most `LEVEL`. A trial that would have caught up later is ended too; the
share of the steps that is always trained is there for that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from texlens.workflows.sweep.evidence import ValidationResult, surely_worse_by

LEVEL = 0.05
MIN_BATCHES = 10
"""With fewer batches of validation rows, or rows read, the bootstrap's error is too rough to judge by."""


@dataclass(frozen=True)
class StopVerdict:
    """Why a trial ended: at which step, which trial was better, and by how much at least."""

    step: int
    better: int
    surely_worse_by: float

    def to_json(self) -> dict:
        return {"step": self.step, "better": self.better, "surely_worse_by": round(self.surely_worse_by, 10)}


@dataclass(frozen=True)
class StopRule:
    """
    Args:
        comparisons: how many are made in the whole sweep, at most.
        from_progress: the share of a trial's steps that is always trained.
        enabled: whether trials end early at all.
    """

    comparisons: int
    from_progress: float = 0.25
    enabled: bool = True
    seed: int = 0

    def judge(self, trial: ValidationResult, others: Mapping[int, Sequence[ValidationResult]]) -> StopVerdict | None:
        """The verdict that ends the trial after this measurement, or None.

        Args:
            others: measurements of the earlier trials, by number.
        """
        if not self.enabled or trial.progress < self.from_progress or len(trial.batches) < MIN_BATCHES:
            return None
        confidence = 1 - LEVEL / max(1, self.comparisons)
        verdicts = []
        for number, measurements in others.items():
            before = [known for known in measurements if known.progress <= trial.progress and _same_rows(known, trial)]
            if before:
                bound = surely_worse_by(trial, before[-1], confidence, self.seed)
                verdicts.append(StopVerdict(trial.step, number, bound))
        worst = max(verdicts, key=lambda verdict: verdict.surely_worse_by, default=None)
        return worst if worst and worst.surely_worse_by > 0 else None


def _same_rows(first: ValidationResult, other: ValidationResult) -> bool:
    return [labels for _, labels in first.batches] == [labels for _, labels in other.batches]
