"""`ModelSource`: what the name of a model refers to, found and checked before any weight is read.

    runs/x                              the run's best adapter on its base
    runs/x, checkpoint="latest" or 62   that checkpoint's adapter on the base
    runs/x/checkpoints/checkpoint-62    the same
    an adapter folder                   the adapter on the base that its metadata names
    a folder made by `texlens export`   as it was exported, with the prompt of training
    a checkpoint folder, a hub id, nano the model as it is
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from texlens.adapters.lora import SETTINGS, check_adapter, is_full
from texlens.adapters.metadata import AdapterMetadata
from texlens.config.load import load_saved_config
from texlens.config.model import ModelSettings
from texlens.config.quantize import QuantizeSettings
from texlens.config.run import RunConfig
from texlens.core.errors import ModelError, RunError
from texlens.core.run_folder import MANIFEST, RunFolder, list_runs
from texlens.inference.confidence import Calibration, read_calibration
from texlens.inference.defaults import DEFAULT_PROMPT, default_max_new_tokens
from texlens.inference.run_checkpoint import run_of_weights, trained_weights
from texlens.inputs.chat_template import PromptStyle
from texlens.models.build import BaseCheckpoint, build_base
from texlens.models.checkpoint import read_config
from texlens.models.export_manifest import ExportManifest
from texlens.models.processor import load_processor

Kind = Literal["checkpoint", "adapter", "full", "gguf"]


@dataclass(frozen=True)
class ModelSource:
    """A model that can be opened.

    Attributes:
        path: as it was named.
        kind: `full` is a run whose weights were all trained; `gguf` is read by llama.cpp alone.
        base: the checkpoint whose weights are loaded (of `full`, the trained one), with the pixel budget of training.
        adapter: the folder of the adapter on it.
        quantize: how the base is held in memory, as in training.
        gguf_files: names of the model and of its projector.
        notes: what a user should know, such as a path outside the folder that was named.
    """

    path: str
    name: str
    kind: Kind
    base: BaseCheckpoint
    settings: ModelSettings
    style: PromptStyle
    max_new_tokens: int
    adapter: Path | None = None
    quantize: QuantizeSettings | None = None
    calibration: Calibration | None = None
    gguf_files: tuple[str, str] | None = None
    notes: tuple[str, ...] = ()

    @property
    def checkpoint_without_adapter(self) -> Path:
        """The folder of a model that needs no adapter.

        Raises:
            ModelError: it is an adapter, or GGUF.
        """
        if self.adapter is not None or self.kind == "gguf":
            raise ModelError(f"{self.path}: this backend reads checkpoints without an adapter; use transformers")
        return self.base.folder


@dataclass(frozen=True)
class LoadOptions:
    """What a caller decides about loading; None leaves it to the run.

    `trust_remote_code` comes from the caller alone: neither a run folder nor a checkpoint can set it.
    """

    device: str | None = None
    dtype: str | None = None
    attention: str | None = None
    trust_remote_code: bool = False

    def applied_to(self, settings: ModelSettings) -> ModelSettings:
        given = {"device": self.device, "dtype": self.dtype, "attention": self.attention}
        changes = {name: value for name, value in given.items() if value is not None}
        return settings.model_copy(update={**changes, "trust_remote_code": self.trust_remote_code})


def resolve(
    name: str | Path,
    *,
    checkpoint: str | int | None = None,
    config: RunConfig | None = None,
    options: LoadOptions = LoadOptions(),
) -> ModelSource:
    """What the name refers to.

    Args:
        checkpoint: of a run: `best`, `latest` or a step.
        config: settings of a run, instead of those in its folder.

    Raises:
        RunError: a damaged run folder, a run that is not there, or no such checkpoint.
        ModelError: no such model, a damaged one, or an adapter that belongs to another base.
    """
    path = Path(name)
    if (path / MANIFEST).is_file():
        run = RunFolder.open(path)
        return _of_run(str(name), run, trained_weights(run, checkpoint), config, options)
    if run := run_of_weights(path):
        if checkpoint is not None:
            raise RunError(f"{name}: one checkpoint of {run.path}; name the run itself to choose another")
        return _of_run(str(name), run, path, config, options)
    if checkpoint is not None:
        raise RunError(f"{name}: not a run folder, so it has no checkpoint {checkpoint}; leave --checkpoint out")
    _refuse_missing_run(str(name))
    manifest = ExportManifest.read(path) if path.is_dir() else None
    if manifest is not None and manifest.format == "gguf":
        return _of_gguf(str(name), path, manifest, options)
    if (path / SETTINGS).is_file():
        return _of_adapter(str(name), path, options)
    return _of_checkpoint(str(name), manifest, options)


def resolve_run_base(config: RunConfig, run: RunFolder, options: LoadOptions = LoadOptions()) -> ModelSource:
    """The base of a run alone, with the pixel budget and the prompt of training; the run may be untrained."""
    metadata = AdapterMetadata.read(run.adapter) if run.adapter.is_dir() else None
    settings = options.applied_to(config.model)
    base = _build_base(settings, metadata)
    return ModelSource(
        config.model.path,
        _name(config.model.path),
        "checkpoint",
        base,
        settings,
        PromptStyle(config.data.prompt, config.data.system_prompt),
        default_max_new_tokens(read_config(base.folder)),
        quantize=config.base,
    )


def _of_run(path: str, run: RunFolder, weights: Path, config: RunConfig | None, options: LoadOptions) -> ModelSource:
    check_adapter(weights, None)
    config = config or load_saved_config(run.config)
    metadata = AdapterMetadata.read(weights)
    settings = options.applied_to(config.model)
    full = is_full(weights)
    base = _build_base(settings.model_copy(update={"path": str(weights)}) if full else settings, metadata)
    if not full:
        check_adapter(weights, base.fingerprint)
    name = run.path.resolve().name
    return ModelSource(
        path,
        name if weights.name == "adapter" else f"{name}-{weights.name}",
        "full" if full else "adapter",
        base,
        settings,
        PromptStyle(config.data.prompt, config.data.system_prompt),
        default_max_new_tokens(read_config(base.folder)),
        adapter=None if full else weights,
        quantize=None if full else config.base,
        calibration=read_calibration(weights),
        notes=() if full else _outside(path, config.model.path),
    )


def _of_adapter(path: str, folder: Path, options: LoadOptions) -> ModelSource:
    check_adapter(folder, None)
    metadata = AdapterMetadata.read(folder)
    base_path = metadata.base if metadata else _base_of_peft(folder)
    settings = options.applied_to(ModelSettings(path=base_path))
    base = _build_base(settings, metadata)
    check_adapter(folder, base.fingerprint)
    style = PromptStyle(metadata.question, metadata.system) if metadata else PromptStyle(DEFAULT_PROMPT)
    quantize = QuantizeSettings.model_validate({"quantize": metadata.base_quantize}) if metadata else None
    return ModelSource(
        path,
        _name(path),
        "adapter",
        base,
        settings,
        style,
        default_max_new_tokens(read_config(base.folder)),
        adapter=folder,
        quantize=quantize,
        calibration=read_calibration(folder),
        notes=_outside(path, base_path),
    )


def _of_checkpoint(path: str, manifest: ExportManifest | None, options: LoadOptions) -> ModelSource:
    """A checkpoint as it is; an export, or weights that were trained in full, bring their prompt and pixel budget."""
    metadata = manifest
    if metadata is None and Path(path).is_dir() and is_full(Path(path)):
        metadata = AdapterMetadata.read(Path(path))
    settings = options.applied_to(ModelSettings(path=path))
    base = _build_base(settings, metadata)
    return ModelSource(
        path,
        _name(path),
        "checkpoint",
        base,
        settings,
        PromptStyle(metadata.question, metadata.system) if metadata else PromptStyle(DEFAULT_PROMPT),
        default_max_new_tokens(read_config(base.folder)),
        calibration=read_calibration(base.folder),
    )


def _of_gguf(path: str, folder: Path, manifest: ExportManifest, options: LoadOptions) -> ModelSource:
    base = BaseCheckpoint(path, folder, manifest.base_fingerprint, load_processor(folder))
    return ModelSource(
        path,
        _name(path),
        "gguf",
        base,
        options.applied_to(ModelSettings(path=path)),
        PromptStyle(manifest.question, manifest.system),
        default_max_new_tokens(read_config(folder)),
        calibration=read_calibration(folder),
        gguf_files=(str(manifest.made["model"]), str(manifest.made["projector"])),
    )


def _build_base(settings: ModelSettings, metadata: AdapterMetadata | ExportManifest | None) -> BaseCheckpoint:
    """The checkpoint with the pixel budget of training, where metadata says it."""
    low, high = (metadata.min_pixels, metadata.max_pixels) if metadata else (None, None)
    return build_base(settings, min_pixels=low, max_pixels=high)


def _base_of_peft(folder: Path) -> str:
    """The base that an adapter saved by another program names.

    Raises:
        ModelError: it names none.
    """
    settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    base = settings.get("base_model_name_or_path") if isinstance(settings, dict) else None
    if not isinstance(base, str) or not base:
        raise ModelError(f"{folder / SETTINGS}: names no base_model_name_or_path; write the base's path there")
    return base


def _outside(path: str, base: str) -> tuple[str, ...]:
    """A note where a folder names a base outside itself."""
    return () if base == "nano" else (f"{path} names its base model: {base}",)


def _refuse_missing_run(name: str) -> None:
    """
    Raises:
        RunError: no such path, but there are runs next to where it would be: a misspelled run, not a hub id.
    """
    if not Path(name).exists() and name != "nano" and (runs := list_runs(Path(name).parent)):
        names = ", ".join(str(run.path) for run in runs[-5:])
        raise RunError(f"{name}: no such run; there are {names}")


def _name(path: str) -> str:
    return Path(path).name or path


def without_adapter(source: ModelSource) -> ModelSource:
    """The base of an adapter as a model of its own, with the default prompt."""
    path = source.settings.path
    base = build_base(source.settings)
    manifest = ExportManifest.read(base.folder)
    style = PromptStyle(manifest.question, manifest.system) if manifest else PromptStyle(DEFAULT_PROMPT)
    calibration = read_calibration(base.folder)
    return replace(
        source,
        path=path,
        name=_name(path),
        kind="checkpoint",
        base=base,
        style=style,
        adapter=None,
        calibration=calibration,
        notes=(),
    )


