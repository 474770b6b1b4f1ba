"""What can't be served, or not by one model: told from settings and cards, before any weight is read."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from texlens.adapters.lora import SETTINGS, check_adapter, is_full
from texlens.config.load import load_saved_config
from texlens.core.errors import ModelError
from texlens.core.run_folder import RunFolder
from texlens.models.export_manifest import ExportManifest

APART = "start a second server"


def check_together(models: Sequence[str], runs: Sequence[RunFolder]) -> None:
    """
    Args:
        models: all that is to be served, the runs among them.

    Raises:
        ModelError: a damaged adapter, or one that can't share a model with the others.
    """
    for run in runs:
        check_adapter(run.adapter, None)
    full = next((run for run in runs if is_full(run.adapter)), None)
    if full and len(models) > 1:
        raise ModelError(f"{full.path}: trained in full, so it shares no base with others; {APART}")
    if len(runs) < 2:
        return
    _check_alike(runs, "base.quantize differs", lambda run: load_saved_config(run.config).base.quantize)
    _check_alike(runs, "adapters of different kinds", lambda run: settings_of(run).get("peft_type"))
    stacked = next((run for run in runs if settings_of(run).get("target_parameters")), None)
    if stacked:
        raise ModelError(f"{stacked.path}: adapters on stacked experts are served alone; {APART}")


def refuse_unservable(path: str) -> None:
    """
    Raises:
        ModelError: an exported folder that is no model of transformers.
    """
    card = ExportManifest.read(Path(path)) if Path(path).is_dir() else None
    if card and card.reader == "llama.cpp":
        raise ModelError(f"{path}: GGUF is llama.cpp's; serve it with the llama-server command in its README.md")
    if card and card.reader == "peft":
        raise ModelError(f"{path}: an exported adapter, without its base; serve the run {card.run} that it came from")


def settings_of(run: RunFolder) -> dict[str, Any]:
    """What adapter_config.json says; nothing of a run that was trained in full."""
    path = run.adapter / SETTINGS
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _check_alike(runs: Sequence[RunFolder], what: str, of: Callable[[RunFolder], Any]) -> None:
    found = {of(run): run for run in runs}
    if len(found) > 1:
        which = ", ".join(f"{run.path} {value}" for value, run in found.items())
        raise ModelError(f"{what} ({which}); {APART}")
