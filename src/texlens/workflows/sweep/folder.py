"""A sweep's folder, and in it what decides the sweep, so that a killed one goes on as it began.

RUNS/NAME-sweep/
  sweep.json     what decides the sweep, its trials, the best; complete after each trial
  report.html
  best.yaml      the best trial's settings as a run file
  trials/001/    run folders as `texlens train` makes them, with trial.json
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from texlens.config.load import build_config
from texlens.config.run import RunConfig
from texlens.core.errors import RunError
from texlens.core.files import write_json
from texlens.core.run_folder import RunFolder
from texlens.workflows.sweep.ranking import LOSS, Ranking
from texlens.workflows.sweep.samplers import Point
from texlens.workflows.sweep.space import as_setting

SWEEP = "sweep.json"


@dataclass(frozen=True)
class SweepPlan:
    """What decides a sweep. `values` is the run file's content with `--set` laid over it."""

    name: str
    values: Mapping[str, Any]
    over: tuple[str, ...]
    trials: int
    sampler: str
    seed: int = 0
    stop_losers: bool = True
    stop_from: float = 0.25
    by: str = LOSS
    """What trials are ranked and judged by."""

    @property
    def ranking(self) -> Ranking:
        return Ranking(self.by)

    def config(self, point: Point, output: Path) -> RunConfig:
        """The settings of a trial.

        Raises:
            ConfigError: values that can't be combined.
        """
        changes = [as_setting(key, value) for key, value in point.items()]
        fixed = [as_setting("output", str(output)), as_setting("name", "trial")]
        return build_config(self.values, "the sweep's run file", [*changes, *fixed])


class SweepFolder:
    """Paths of a sweep."""

    def __init__(self, path: Path):
        self.path, self.record, self.report = path, path / SWEEP, path / "report.html"
        self.trials = path / "trials"

    def trial(self, number: int) -> RunFolder:
        return RunFolder(self.trials / f"{number:03}")

    @classmethod
    def create(cls, output: Path, plan: SweepPlan) -> "SweepFolder":
        folder = cls(RunFolder.create(output, plan.name).path)
        (folder.path / "run.json").unlink()
        write_json(folder.record, {"plan": asdict(plan), "state": "running"})
        return folder

    @classmethod
    def open(cls, path: Path) -> tuple["SweepFolder", SweepPlan]:
        """
        Raises:
            RunError: not a sweep's folder, or a damaged one.
        """
        folder = cls(path)
        if not folder.record.is_file():
            raise RunError(f"{path}: no {SWEEP} in it, so not a sweep; name the folder that `texlens sweep` made")
        try:
            plan: dict[str, Any] = json.loads(folder.record.read_text(encoding="utf-8"))["plan"]
            return folder, SweepPlan(**(plan | {"over": tuple(plan["over"])}))
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{folder.record}: damaged ({error}); start a new sweep") from None
