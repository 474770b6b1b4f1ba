"""Opening a finished run: its settings, with this call's changes of data and evaluation laid over them."""

from collections.abc import Iterable
from pathlib import Path

from texlens.adapters.lora import check_adapter
from texlens.adapters.metadata import AdapterMetadata
from texlens.config.load import load_saved_config
from texlens.config.overrides import parse_override
from texlens.config.run import RunConfig
from texlens.core.errors import ConfigError
from texlens.core.run_folder import RunFolder
from texlens.models.build import BaseCheckpoint, build_base

CHANGEABLE = ("data", "evaluate", "model")
"""Branches of the settings that a call may change; the others are what the run was trained with."""


def open_run(path: Path, overrides: Iterable[str] = ()) -> tuple[RunConfig, RunFolder]:
    """A run folder and its settings, with overrides of data, evaluation and model laid over them.

    Raises:
        RunError: not a run folder.
        ConfigError: an override of what the run was trained with.
    """
    folder = RunFolder.open(path)
    overrides = list(overrides)
    for override in overrides:
        branch = parse_override(override)[0].split(".", 1)[0]
        if branch not in CHANGEABLE:
            raise ConfigError(f"--set {override!r}: {branch} of a finished run can't be changed")
    return load_saved_config(folder.config, overrides), folder


def run_base(config: RunConfig, folder: RunFolder, *, adapter: bool = True) -> BaseCheckpoint:
    """The run's base checkpoint, with the pixel budget that its adapter was trained with.

    Args:
        adapter: compare the adapter's recorded base with this one.

    Raises:
        ModelError: the adapter is damaged or belongs to another base.
    """
    metadata = AdapterMetadata.read(folder.adapter) if folder.adapter.is_dir() else None
    if adapter:
        check_adapter(folder.adapter, None)
    base = build_base(
        config.model,
        min_pixels=metadata.min_pixels if metadata else None,
        max_pixels=metadata.max_pixels if metadata else None,
    )
    if adapter:
        check_adapter(folder.adapter, base.fingerprint)
    return base
