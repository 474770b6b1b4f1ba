"""One training of a sweep: its settings, its run folder, and what it measured, kept on disk after each validation."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from texlens.core.errors import RunError
from texlens.core.files import write_json
from texlens.core.run_folder import RunFolder
from texlens.metrics.prediction import Prediction
from texlens.training.checkpoints.folder import list_checkpoints
from texlens.workflows.sweep.evidence import ValidationResult, best_of
from texlens.workflows.sweep.ranking import Ranking
from texlens.workflows.sweep.samplers import Point
from texlens.workflows.sweep.stopping import StopVerdict

RECORD = "trial.json"


@dataclass
class Trial:
    """`state` is `running`, `done`, `stopped` (by `verdict`) or `failed` (with the reason in `error`)."""

    number: int
    point: Point
    run: str
    measurements: list[ValidationResult] = field(default_factory=list)
    state: str = "running"
    verdict: StopVerdict | None = None
    error: str | None = None
    seconds: float = 0.0

    @property
    def best(self) -> ValidationResult | None:
        return best_of(self.measurements) if self.measurements else None

    @property
    def is_finished(self) -> bool:
        return self.state != "running"

    def to_json(self) -> dict:
        return {
            "number": self.number,
            "settings": self.point,
            "run": self.run,
            "state": self.state,
            "verdict": self.verdict.to_json() if self.verdict else None,
            "error": self.error,
            "seconds": round(self.seconds, 1),
            "measurements": [measurement.to_json() for measurement in self.measurements],
        }

    def write(self, folder: Path) -> None:
        write_json(folder / RECORD, self.to_json())

    @classmethod
    def read(cls, folder: Path) -> "Trial | None":
        """The record in a trial's run folder, or None where there is none.

        Raises:
            RunError: it is damaged.
        """
        path = folder / RECORD
        if not path.is_file():
            return None
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                value["number"],
                value["settings"],
                value["run"],
                [ValidationResult.from_json(measurement) for measurement in value["measurements"]],
                value["state"],
                StopVerdict(**value["verdict"]) if value["verdict"] else None,
                value["error"],
                value["seconds"],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path}: damaged ({error}); remove that trial's folder and resume the sweep") from None

    def forget_after(self, step: int) -> None:
        """Drops what was measured after the checkpoint that training goes on from."""
        self.measurements = [measurement for measurement in self.measurements if measurement.step <= step]
        if self.verdict and self.verdict.step > step:
            self.verdict = None


@dataclass
class TrialObserver:
    """Records each validation of a trial and ends it where `judge` has a verdict. See `ValidationObserver`."""

    trial: Trial
    folder: Path
    batch_size: int
    judge: Callable[[ValidationResult], StopVerdict | None]
    ranking: Ranking = field(default_factory=Ranking)

    def __call__(
        self, step: int, max_steps: int, batches: Sequence[tuple[float, int]], predictions: Sequence[Prediction]
    ) -> bool:
        units = self.ranking.units(tuple(batches), predictions)
        measurement = ValidationResult(step, round(step / max(1, max_steps), 6), units)
        self.trial.forget_after(step - 1)
        self.trial.measurements.append(measurement)
        self.trial.verdict = self.judge(measurement)
        self.trial.write(self.folder)
        return self.trial.verdict is not None


def last_checkpoint_step(folder: RunFolder) -> int:
    """Of the newest checkpoint, complete or not; 0 without one."""
    checkpoints = list_checkpoints(folder.checkpoints)
    return int(checkpoints[-1].name.rpartition("-")[2]) if checkpoints else 0
