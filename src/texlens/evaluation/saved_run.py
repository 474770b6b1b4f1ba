"""Opening a finished run: its settings, with this call's changes of data and evaluation laid over them."""

from collections.abc import Iterable
from pathlib import Path

from texlens.config.load import load_saved_config
from texlens.config.overrides import parse_override
from texlens.config.run import RunConfig
from texlens.core.errors import ConfigError
from texlens.core.run_folder import RunFolder
from texlens.inference.opening.run_checkpoint import open_run_at

CHANGEABLE = ("data", "evaluate", "model")
"""Branches of the settings that a call may change; the others are what the run was trained with."""
CHANGEABLE_KEYS = ("base.quantize",)
"""Single settings that it may change too: a base can be read in another form than it was trained over."""


def open_run(
    path: Path, overrides: Iterable[str] = (), checkpoint: str | int | None = None
) -> tuple[RunConfig, RunFolder]:
    """A run folder and its settings, with overrides of data, evaluation and model laid over them.

    Args:
        path: the run, or one of its checkpoints.
        checkpoint: `best`, `latest` or a step, whose weights are then the run's `adapter`.

    Raises:
        RunError: not a run folder, or no such checkpoint.
        ConfigError: an override of what the run was trained with.
    """
    folder = open_run_at(path, checkpoint)
    overrides = list(overrides)
    for override in overrides:
        key = parse_override(override)[0]
        branch = key.split(".", 1)[0]
        if branch not in CHANGEABLE and key not in CHANGEABLE_KEYS:
            raise ConfigError(f"--set {override!r}: {branch} of a finished run can't be changed")
    return load_saved_config(folder.config, overrides), folder
