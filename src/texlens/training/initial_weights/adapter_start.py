"""`adapter.from`: training goes on from an adapter of the same kind and shape, trained before on the same base.

The optimizer starts again; a run that is to go on as if it had never stopped is resumed instead.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from texlens.adapters.lora import SETTINGS, WEIGHTS, check_adapter, is_full
from texlens.config.adapter import LoraSettings, MoeLoraSettings
from texlens.config.run import RunConfig
from texlens.core.errors import ConfigError, ModelError
from texlens.core.run_folder import MANIFEST, RunFolder
from texlens.inference.opening.run_checkpoint import trained_weights
from texlens.models.download import fetch_adapter
from texlens.models.hubs import is_hub_id


def starting_adapter(config: RunConfig, base_fingerprint: str) -> Path | None:
    """The folder that `adapter.from` names, checked; None where the adapter begins from its own initial weights.

    Raises:
        ConfigError: an adapter of another kind, rank or scale; the differences are named.
        ModelError, RunError: no such adapter, a damaged one, or one of another base.
    """
    settings = config.adapter
    name = getattr(settings, "from_", None)
    if name is None or not isinstance(settings, LoraSettings | MoeLoraSettings):
        return None
    folder = _find(name, config.model.source)
    if is_full(folder):
        raise ConfigError(f"adapter.from: {name}: trained in full, so it has no adapter; set model.path to it")
    if metadata := check_adapter(folder):
        metadata.check_base(base_fingerprint, folder)
    saved = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    differences = adapter_differences(saved, expected_settings(settings))
    if differences:
        shown = "; ".join(f"{key} {old} there, {new} here" for key, (old, new) in differences.items())
        raise ConfigError(f"adapter.from: {name}: another adapter ({shown}); set adapter to what it was trained with")
    return folder


def _find(name: str, source: str) -> Path:
    """An adapter folder, the adapter of a run or of one of its checkpoints, or one of a hub.

    Raises:
        ModelError: there is none.
    """
    path = Path(name).expanduser()
    if (path / MANIFEST).is_file():
        return trained_weights(RunFolder(path))
    if path.is_dir():
        return path
    if not is_hub_id(name):
        raise ModelError(f"adapter.from: {name}: no such folder, and not a hub id (owner/name)")
    return fetch_adapter(name, source=source, names=(SETTINGS, WEIGHTS))


def expected_settings(settings: LoraSettings | MoeLoraSettings) -> dict[str, Any]:
    """What adapter_config.json says of an adapter with these settings, by its own keys."""
    shared: dict[str, Any] = {"r": settings.rank, "lora_alpha": settings.alpha}
    if isinstance(settings, MoeLoraSettings):
        more = {"experts": settings.experts, "top_k": settings.top_k, "shared_expert": settings.shared}
        return {"peft_type": "MOE_LORA", **shared, **more}
    return {"peft_type": "LORA", **shared, "use_rslora": settings.rslora, "use_dora": settings.dora}


def adapter_differences(saved: Mapping[str, Any], expected: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Keys whose values differ, saved and expected; a key that PEFT did not save is false or None.

    Example:
        {"r": 8}, {"r": 16, "use_dora": False} -> {"r": (8, 16)}
    """
    return {
        key: (saved.get(key), value)
        for key, value in expected.items()
        if saved.get(key) != value and not (not saved.get(key) and not value)
    }
