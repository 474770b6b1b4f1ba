"""What a server answers as: a base and adapters on it, each with the question, pixels and limits of its training."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from texlens.adapters.lora import check_adapter, is_full, load_adapter
from texlens.adapters.metadata import AdapterMetadata
from texlens.config.load import load_saved_config
from texlens.config.model import ModelSettings
from texlens.core.errors import ModelError
from texlens.core.run_folder import MANIFEST, RunFolder
from texlens.inference.compatibility import check_together, refuse_unservable
from texlens.inference.confidence import Calibration, read_calibration
from texlens.inference.names import MAX_NEW_TOKENS, QUESTION, refuse_missing_run
from texlens.models.build import BaseCheckpoint, build_base, build_model
from texlens.models.export_manifest import ExportManifest
from texlens.models.processor import Processor

FIRST_ADAPTER = "default"
"""What PEFT calls the adapter that a model is wrapped with."""


@dataclass(frozen=True)
class ServedModel:
    """`adapter` is its name in PEFT, None the base; `parent` the base's name, None for the base itself."""

    name: str
    processor: Processor
    question: str
    system: str | None
    max_new_tokens: int
    calibration: Calibration | None = None
    adapter: str | None = None
    parent: str | None = None


def open_models(models: Sequence[str], **model_settings: Any) -> tuple[torch.nn.Module, dict[str, ServedModel]]:
    """A loaded model and what it can be asked as: what was named, in that order, and the base.

    A base of a run's name, as `nano` is of `runs/nano`, is asked as `nano-base`.

    Raises:
        ModelError: no such model, several bases, or two of one name.
        RunError: a run folder that is damaged or not there.
    """
    runs = [RunFolder.open(Path(model)) for model in models if (Path(model) / MANIFEST).is_file()]
    bases = [model for model in models if not (Path(model) / MANIFEST).is_file()]
    for path in bases:
        refuse_missing_run(path)
        refuse_unservable(path)
    if len(bases) > 1:
        raise ModelError(f"{bases[1]}: one base can be served at a time beside {bases[0]}; start a second server")
    check_together(models, runs)
    if runs and is_full(runs[0].adapter):
        return _open_full(runs[0], model_settings)
    config = load_saved_config(runs[0].config) if runs else None
    settings = config.model if config else ModelSettings(path=bases[0])
    settings = settings.model_copy(update=model_settings)
    base = build_base(settings)
    if bases and runs and build_base(ModelSettings(path=bases[0])).fingerprint != base.fingerprint:
        raise ModelError(f"{bases[0]}: not the base of {runs[0].path}; start a second server")
    plain = _base_model(base, bases[0] if bases else settings.path)
    if plain.name in {run.path.name for run in runs}:
        plain = replace(plain, name=f"{plain.name}-base")
    adapted = [
        _adapted(run, base, plain.name, f"run-{number}" if number else FIRST_ADAPTER) for number, run in enumerate(runs)
    ]
    names = [one.name for one in [*adapted, plain]]
    if len(set(names)) < len(names):
        raise ModelError(f"two models would be served as {max(names, key=names.count)!r}; rename a run folder")
    model: torch.nn.Module = build_model(base, settings, config.base if config else None)
    for run, one in zip(runs, adapted, strict=True):
        model = _with_adapter(model, run, one, base)
    by_path = dict(zip([run.path for run in runs], adapted, strict=True))
    ordered = [by_path.get(Path(model), plain) for model in models]
    return model.eval(), {one.name: one for one in [*ordered, plain]}


def _open_full(run: RunFolder, model_settings: dict[str, Any]) -> tuple[torch.nn.Module, dict[str, ServedModel]]:
    """A run that was trained in full is a checkpoint; its base is not loaded."""
    check_adapter(run.adapter, None)
    config, card = load_saved_config(run.config), AdapterMetadata.read(run.adapter)
    settings = config.model.model_copy(update={**model_settings, "path": str(run.adapter)})
    low, high = (card.min_pixels, card.max_pixels) if card else (None, None)
    base = build_base(settings, min_pixels=low, max_pixels=high)
    one = ServedModel(
        run.path.name,
        base.processor,
        config.data.prompt,
        config.data.system_prompt,
        config.evaluate.max_new_tokens,
        read_calibration(run.adapter),
    )
    return build_model(base, settings).eval(), {one.name: one}


def use_adapter(model: torch.nn.Module, adapter: str | None) -> None:
    """Lets the next forwards go through one adapter, or through none."""
    if not isinstance(model, PeftModel):
        return
    layers: Any = model.base_model
    if adapter is None:
        layers.disable_adapter_layers()
    else:
        layers.enable_adapter_layers()
        model.set_adapter(adapter)


def _base_model(base: BaseCheckpoint, path: str) -> ServedModel:
    """An exported folder brings its question along."""
    name, card = Path(path).name or path, ExportManifest.read(base.folder)
    question, system, most = (
        (card.prompt, card.system_prompt, card.max_new_tokens) if card else (QUESTION, None, MAX_NEW_TOKENS)
    )
    return ServedModel(name, base.processor, question, system, most, read_calibration(base.folder))


def _adapted(run: RunFolder, base: BaseCheckpoint, parent: str, adapter: str) -> ServedModel:
    check_adapter(run.adapter, base.fingerprint)
    config, card = load_saved_config(run.config), AdapterMetadata.read(run.adapter)
    geometry = base.processor.geometry
    if card is not None:
        geometry = replace(geometry, min_pixels=card.min_pixels, max_pixels=card.max_pixels)
    return ServedModel(
        run.path.name,
        replace(base.processor, geometry=geometry),
        config.data.prompt,
        config.data.system_prompt,
        config.evaluate.max_new_tokens,
        read_calibration(run.adapter),
        adapter,
        parent,
    )


def _with_adapter(model: Any, run: RunFolder, served: ServedModel, base: BaseCheckpoint) -> Any:
    assert served.adapter is not None
    if not isinstance(model, PeftModel):
        return load_adapter(model, run.adapter, fingerprint=base.fingerprint)
    model.load_adapter(str(run.adapter), adapter_name=served.adapter)
    return model
