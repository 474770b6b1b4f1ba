"""sweep.json and report.html: all trials, how sure their differences are, and what to do with the best."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from markupsafe import Markup

from texlens.core.files import write_json, write_text
from texlens.html.line_chart import Series, line_chart
from texlens.html.template import page_environment
from texlens.workflows.sweep.evidence import difference
from texlens.workflows.sweep.ranking import Ranking
from texlens.workflows.sweep.run import SweepResult
from texlens.workflows.sweep.space import Choices, parse_space
from texlens.workflows.sweep.trial import Trial

STYLES = {"best": "validation", "done": "s2", "stopped": "train"}
"""Color class of a trial's line, by its part in the sweep."""


def sweep_json(result: SweepResult, *, finished: bool) -> dict[str, Any]:
    """What `--json` prints and sweep.json keeps; times and loads apart from what a sweep that goes on repeats."""
    best = result.best
    return {
        "plan": asdict(result.plan),
        "state": "finished" if finished else "running",
        "best": best.number if best else None,
        "by": result.plan.by,
        "trials": [_trial_json(trial, best, result.plan.ranking) for trial in _ranked(result.trials)],
        "loads": {"model": result.model_loads, "data": result.data_reads},
        "seconds": {trial.number: round(trial.seconds, 1) for trial in result.trials},
    }


def _ranked(trials: Sequence[Trial]) -> list[Trial]:
    """The best first, trials without a measurement last."""
    return sorted(trials, key=lambda trial: (trial.best.loss if trial.best else float("inf"), trial.number))


def _trial_json(trial: Trial, best: Trial | None, ranking: Ranking) -> dict[str, Any]:
    """The value that trials are ranked by is under its own name; `worse_than_best` is over 0 where a trial is worse."""
    value: dict[str, Any] = {
        "number": trial.number,
        "settings": trial.point,
        "run": trial.run,
        "state": trial.state,
        "error": trial.error,
        "verdict": trial.verdict.to_json() if trial.verdict else None,
    }
    if trial.best and best and best.best:
        value["step"] = trial.best.step
        value[ranking.name] = ranking.shown_interval(trial.best.interval()).to_json()
        value["worse_than_best"] = difference(trial.best, best.best).to_json()
    return value


def write_results(result: SweepResult, *, finished: bool) -> Path:
    """Writes both files; returns the report's path."""
    content = sweep_json(result, finished=finished)
    write_json(result.folder.record, content)
    page = page_environment("texlens.workflows.sweep", "page").get_template("page.html.jinja")
    write_text(
        result.folder.report,
        page.render(
            title=result.plan.name,
            plan=result.plan,
            finished=finished,
            keys=[dimension.key for dimension in parse_space(result.plan.over)],
            trials=content["trials"],
            best=result.best,
            folder=result.folder.path,
            ranking=result.plan.ranking,
            chart=Markup(_chart(result)),
            effects=_effects(result),
            counts=_counts(result.trials),
        ),
    )
    return result.folder.report


def _counts(trials: Sequence[Trial]) -> dict[str, int]:
    return {state: sum(trial.state == state for trial in trials) for state in ("done", "stopped", "failed")}


def _chart(result: SweepResult) -> str:
    """The validation losses or scores of all trials by step; the best one is drawn last, over the others."""
    best, ranking = result.best, result.plan.ranking
    lines = [
        Series(
            f"trial {trial.number}",
            [(float(measurement.step), ranking.shown(measurement.loss)) for measurement in trial.measurements],
            STYLES["best" if trial is best else "stopped" if trial.state == "stopped" else "done"],
        )
        for trial in sorted(result.trials, key=lambda trial: trial is best)
    ]
    return line_chart(lines, ranking.title.lower())


def _effects(result: SweepResult) -> list[dict[str, Any]]:
    """For each setting with choices: trials, best and mean of each value, whatever the other settings were."""
    effects, ranking = [], result.plan.ranking
    for dimension in parse_space(result.plan.over):
        if not isinstance(dimension, Choices):
            continue
        rows = []
        for value in dimension.values:
            losses = [trial.best.loss for trial in result.trials if trial.best and trial.point[dimension.key] == value]
            if losses:
                best, mean = ranking.shown(min(losses)), ranking.shown(sum(losses) / len(losses))
                rows.append({"value": value, "trials": len(losses), "best": best, "mean": mean})
        effects.append({"key": dimension.key, "rows": rows})
    return effects
