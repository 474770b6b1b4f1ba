"""The trials of a sweep one after the other in one process; what a killed sweep had done is not done again."""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from texlens.config.load import dump_config
from texlens.config.run import RunConfig
from texlens.core.errors import ConfigError, Interrupted, RunError, TexlensError, one_line
from texlens.core.files import write_text
from texlens.core.run_folder import RunFolder
from texlens.training.build import TrainContext
from texlens.training.prepare import Prepared
from texlens.training.run import train
from texlens.workflows.sweep.evidence import ValidationResult
from texlens.workflows.sweep.folder import SweepFolder, SweepPlan
from texlens.workflows.sweep.samplers import SAMPLERS, Point
from texlens.workflows.sweep.shared import SharedInputs, SharedModels
from texlens.workflows.sweep.space import parse_space
from texlens.workflows.sweep.stopping import StopRule, StopVerdict
from texlens.workflows.sweep.trial import Trial, TrialObserver, last_checkpoint_step
from texlens.workflows.sweep.trial_settings import measured_often, planned_measurements, with_features_cached

UNITS = 32
"""Batches that the validation rows are divided into, of which the intervals are resampled."""


@dataclass(frozen=True)
class SweepResult:
    folder: SweepFolder
    plan: SweepPlan
    trials: list[Trial]
    model_loads: int
    data_reads: int

    @property
    def best(self) -> Trial | None:
        """The trial with the lowest validation loss, or the best score, at its best step."""
        measured = [trial for trial in self.trials if trial.best]
        return min(measured, key=_loss, default=None)


def run_sweep(
    folder: SweepFolder, plan: SweepPlan, *, console: Console, on_trial: Callable[[SweepResult], object]
) -> SweepResult:
    """Runs the trials that are not finished.

    Args:
        on_trial: called after each trial, with what there is until then.

    Raises:
        ConfigError: there are no validation rows, or nothing to vary.
        Interrupted: a signal ended a training, with a checkpoint; the sweep goes on from there.
    """
    space = parse_space(plan.over)
    sampler = SAMPLERS[plan.sampler](space, plan.seed, plan.trials)
    runner = _Runner(folder, plan, SharedInputs(), SharedModels(), console)
    trials: list[Trial] = []
    for number in range(1, plan.trials + 1):
        point = sampler.ask()
        if point is None:
            break
        trials.append(runner.trial(number, point, trials))
        sampler.report(_loss(trials[-1]))
        on_trial(SweepResult(folder, plan, trials, runner.models.loads, runner.inputs.reads))
    return SweepResult(folder, plan, trials, runner.models.loads, runner.inputs.reads)


def _loss(trial: Trial) -> float:
    return trial.best.loss if trial.best else float("inf")


@dataclass
class _Runner:
    folder: SweepFolder
    plan: SweepPlan
    inputs: SharedInputs
    models: SharedModels
    console: Console

    def trial(self, number: int, point: Point, before: Sequence[Trial]) -> Trial:
        """Runs a trial to its end, from its last checkpoint where it has one; a finished one is read from disk."""
        run = self.folder.trial(number)
        trial = Trial.read(run.path)
        if trial is not None and trial.point != point:
            raise RunError(f"{run.path}: trained with {trial.point}, not {point}; start a new sweep")
        if trial is None:
            shutil.rmtree(run.path, ignore_errors=True)
            trial = Trial(number, point, str(run.path.relative_to(self.folder.path)))
        if not trial.is_finished:
            start = time.monotonic()
            self._train(trial, run, before)
            trial.seconds += time.monotonic() - start
            trial.write(run.path)
        self.console.print(_line(trial, self.plan), markup=False)
        return trial

    def _train(self, trial: Trial, run: RunFolder, before: Sequence[Trial]) -> None:
        """
        Raises:
            ConfigError: there are no validation rows.
        """
        quiet = Console(quiet=True)
        try:
            config = self.plan.config(trial.point, self.folder.trials)
            prepared = self.inputs.prepare(config, quiet)
            config = with_features_cached(measured_often(config, prepared), prepared, self.plan.values)
        except ConfigError as error:
            if not before and trial.number == 1:
                raise
            trial.state, trial.error = "failed", one_line(error, 300)
            run.path.mkdir(parents=True, exist_ok=True)
            return
        resume = (run.path / "run.json").is_file()
        if not resume:
            _create(run, config)
        trial.forget_after(last_checkpoint_step(run))
        trial.write(run.path)
        looks = planned_measurements(config, prepared)
        ranking = self.plan.ranking
        observer = TrialObserver(trial, run.path, _batch_size(prepared), self._judge(before, looks), ranking)
        context = TrainContext(config, prepared, run, quiet, models=self.models, validation_observer=observer)
        try:
            with run.locked():
                train(context, resume=resume)
        except Interrupted:
            raise
        except TexlensError as error:
            trial.state, trial.error = "failed", one_line(error, 300)
            return
        trial.state = "stopped" if trial.verdict else "done"

    def _judge(self, before: Sequence[Trial], looks: int) -> Callable[[ValidationResult], StopVerdict | None]:
        """The rule for a trial that is measured `looks` times, as the others are."""
        plan = self.plan
        comparisons = looks * plan.trials * (plan.trials - 1) // 2
        rule = StopRule(comparisons, plan.stop_from, plan.stop_losers, plan.seed)
        measured = {trial.number: trial.measurements for trial in before if trial.state != "failed"}
        return lambda measurement: rule.judge(measurement, measured)


def _batch_size(prepared: Prepared) -> int:
    return max(1, len(prepared.splits.validation or ()) // UNITS)


def _create(run: RunFolder, config: RunConfig) -> None:
    """The trial's run folder under its number, whole or not there."""
    created = RunFolder.create(run.path.parent, f"new-{run.path.name}", dump_config(config))
    created.update(name=run.path.name)
    created.path.replace(run.path)


def _line(trial: Trial, plan: SweepPlan) -> str:
    settings = ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in trial.point.items())
    ranking = plan.ranking
    loss = f"{ranking.title.lower()} {ranking.shown(trial.best.loss):.4f}" if trial.best else "no measurement"
    how = {
        "stopped": f", stopped at step {trial.verdict.step}: surely worse than trial {trial.verdict.better}"
        if trial.verdict
        else "",
        "failed": f", failed: {trial.error}",
    }.get(trial.state, "")
    return f"trial {trial.number} of {plan.trials}: {settings}: {loss}{how}"


def write_run_file(result: SweepResult) -> Path | None:
    """best.yaml: the best trial's settings as a run file of their own; None where no trial has a result."""
    if result.best is None:
        return None
    config = result.plan.config(result.best.point, result.folder.path.parent)
    text = dump_config(config.model_copy(update={"name": f"{result.plan.name}-best"}))
    path = result.folder.path / "best.yaml"
    write_text(path, text)
    return path
