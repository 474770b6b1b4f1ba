"""Scores of whatever a name refers to: a run's adapter or base, one of its checkpoints, or any other model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from texlens.config.load import build_config
from texlens.core.errors import ConfigError
from texlens.core.run_folder import MANIFEST
from texlens.evaluation.run import evaluate_checkpoint, evaluate_run
from texlens.evaluation.saved_run import open_run
from texlens.inference.opening.run_checkpoint import run_of_weights
from texlens.metrics.scores import Scores


def is_of_run(model: str, data: str | None) -> bool:
    """Whether the name is a run, or one of its checkpoints that is read on the run's own rows."""
    return (Path(model) / MANIFEST).is_file() or (run_of_weights(Path(model)) is not None and not data)


def evaluate_model(
    model: str,
    data: str | None,
    *,
    subset: str | None = None,
    split: str = "test",
    system: str | None = None,
    checkpoint: str | int | None = None,
    overrides: Sequence[str] = (),
    use_cache: bool = True,
    console: Console,
) -> tuple[dict[str, Any], Scores]:
    """What was measured on (JSON values), and the scores. Scores of a run stay in its folder.

    Args:
        data, subset: rows instead of the run's own; needed where the name is not a run.
        system: of a run, `adapter` (default) or `base`.
        checkpoint: of a run, `best`, `latest` or a step.
        overrides: settings, `key=value`.

    Raises:
        ConfigError: options that do not go together, or settings that can't be changed.
        DataError, ModelError, RunError: no such rows or model.
    """
    if subset and not data:
        raise ConfigError("--subset belongs to --data; give --set data.subset=… to change a run's own")
    if is_of_run(model, data):
        config, folder = open_run(Path(model), overrides, checkpoint)
        if data:
            config = config.model_copy(update={"data": config.data.model_copy(update={"path": data, "subset": subset})})
        with folder.locked():
            scores, about = evaluate_run(
                config, folder, split=split, system=system or "adapter", use_cache=use_cache, console=console
            )
        return {"run": str(folder.path), "split": split, "system": system or "adapter", **about}, scores
    if checkpoint:
        raise ConfigError(f"--checkpoint {checkpoint}: {model} is not a run folder; leave it out")
    if data is None:
        raise ConfigError(f"{model}: not a run folder; to score a checkpoint, name the rows with --data PATH")
    if system:
        raise ConfigError(f"--system {system}: {model} is one system, not a run folder; leave it out")
    rows = {"path": data, "subset": subset, "splits": {"train": split, "validation": None, "test": split}}
    config = build_config({"model": {"path": model}, "data": rows}, where=f"{model} on {data}", overrides=overrides)
    scores = evaluate_checkpoint(config, console=console)
    return {"model": model, "data": data, "subset": subset, "split": split}, scores
