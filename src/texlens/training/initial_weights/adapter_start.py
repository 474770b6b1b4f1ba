"""`adapter.from`: training goes on from an adapter of the same kind and shape, or from weights trained in full, both
trained before on the same base.

The optimizer starts again; a run that is to go on as if it had never stopped is resumed instead.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from texlens.adapters.lora import SETTINGS, WEIGHTS, check_adapter, is_full
from texlens.config.adapter import FullSettings, LoraSettings, MoeLoraSettings
from texlens.config.run import RunConfig
from texlens.core.errors import ConfigError, ModelError
from texlens.core.run_folder import MANIFEST, RunFolder
from texlens.inference.opening.run_checkpoint import trained_weights
from texlens.models.download import fetch_adapter
from texlens.models.hubs import is_hub_id


def starting_adapter(config: RunConfig, base_fingerprint: str) -> Path | None:
    """The folder that `adapter.from` names, checked; None where training begins from its own initial weights.

    Raises:
        ConfigError: an adapter of another kind, rank or scale; the differences are named.
        ModelError, RunError: no such adapter, a damaged one, or one of another base.
    """
    settings = config.adapter
    name = getattr(settings, "from_", None)
    if name is None:
        return None
    folder = _find(name, config.model.source, full=isinstance(settings, FullSettings))
    if is_full(folder) and not isinstance(settings, FullSettings):
        raise ConfigError(f"adapter.from: {name}: trained in full, so it has no adapter; set model.path to {folder}")
    if metadata := check_adapter(folder):
        metadata.check_base(base_fingerprint, folder)
    if isinstance(settings, FullSettings):
        _check_full(name, folder)
        return folder
    saved = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    differences = adapter_differences(saved, expected_settings(settings))
    if differences:
        shown = "; ".join(f"{key} {old} there, {new} here" for key, (old, new) in differences.items())
        raise ConfigError(f"adapter.from: {name}: another adapter ({shown}); set adapter to what it was trained with")
    return folder


def _check_full(name: str, folder: Path) -> None:
    """
    Raises:
        ConfigError: an adapter, which is no complete set of weights.
    """
    if not is_full(folder):
        raise ConfigError(
            f"adapter.from: {name}: an adapter, and kind: full goes on from complete weights; merge it with "
            "`texlens export --format merged`, and set model.path to the result"
        )


def _find(name: str, source: str, *, full: bool) -> Path:
    """An adapter folder, the adapter of a run or of one of its checkpoints, or one of a hub; or complete weights.

    Raises:
        ConfigError: complete weights of a hub, which are a base.
        ModelError: there is none.
    """
    path = Path(name).expanduser()
    if (path / MANIFEST).is_file():
        return trained_weights(RunFolder(path))
    if path.is_dir():
        return path
    if not is_hub_id(name):
        raise ModelError(f"adapter.from: {name}: no such folder, and not a hub id (owner/name)")
    if full:
        raise ConfigError(f"adapter.from: {name}: a hub's checkpoint is a base to train; set model.path to it")
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
