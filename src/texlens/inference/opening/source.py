"""`ModelSource`: what the name of a model refers to, found and checked before any weight is read.

runs/x                              the run's best adapter on its base
runs/x, checkpoint="latest" or 62   that checkpoint's adapter on the base
runs/x/checkpoints/checkpoint-62    the same
an adapter folder                   the adapter on the base that its metadata names
a folder made by `texlens export`   as it was exported, with the prompt of training
a checkpoint folder, a hub id, nano the model as it is
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from texlens.adapters.lora import SETTINGS, check_adapter, is_full
from texlens.adapters.metadata import AdapterMetadata
from texlens.config.load import load_saved_config
from texlens.config.model import ModelSettings
from texlens.config.quantize import QuantizeSettings
from texlens.config.run import RunConfig
from texlens.core.errors import ModelError, RunError
from texlens.core.notes import print_note
from texlens.core.run_folder import MANIFEST, RunFolder, list_runs
from texlens.inference.confidence import Calibration, read_calibration
from texlens.inference.defaults import DEFAULT_PROMPT, default_max_new_tokens
from texlens.inference.opening.run_checkpoint import run_of_weights, trained_weights
from texlens.inputs.chat_template import PromptStyle
from texlens.models.build import BaseCheckpoint, build_base
from texlens.models.checkpoint import read_config
from texlens.models.export_manifest import ExportManifest
from texlens.models.metadata import read_metadata, read_preparation, run_preparation
from texlens.models.preprocessor import MAX_BUDGET_PIXELS
from texlens.models.processor import load_processor

if TYPE_CHECKING:
    from texlens.inputs.image_preparation import Preparation

BASE_KEY = "base"
"""In texlens.json of what was trained here; a bare checkpoint may hold a calibration or image preparation alone."""
Kind = Literal["checkpoint", "adapter", "full", "gguf", "onnx"]
OTHER_RUNTIMES: Mapping[str, str] = {"gguf": "llama.cpp", "onnx": "onnxruntime"}
"""The readers of folders that hold no checkpoint, by kind."""


@dataclass(frozen=True)
class ModelSource:
    """A model that can be opened.

    Attributes:
        path: as it was named.
        kind: `full` is a run whose weights were all trained; `gguf` is read by llama.cpp alone, `onnx` by onnxruntime.
        base: the checkpoint whose weights are loaded (of `full`, the trained one), with the pixel budget of training.
        adapter: the folder of the adapter on it.
        quantize: how the base is held in memory, as in training.
        gguf_files: names of the model and of its projector.
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
    preparation: "Preparation | None" = None
    gguf_files: tuple[str, str] | None = None

    @property
    def checkpoint_without_adapter(self) -> Path:
        """The folder of a model that needs no adapter.

        Raises:
            ModelError: it is an adapter, GGUF or ONNX.
        """
        if self.adapter is not None or self.kind in OTHER_RUNTIMES:
            raise ModelError(f"{self.path}: this backend reads checkpoints without an adapter; use transformers")
        return self.base.folder


@dataclass(frozen=True)
class LoadOptions:
    """What a caller decides about loading; None leaves it to the run.

    `trust_remote_code` comes from the caller alone: `load_saved_config` drops it from a run folder's settings.
    """

    device: str | None = None
    dtype: str | None = None
    attention: str | None = None
    trust_remote_code: bool = False

    def applied_to(self, settings: ModelSettings) -> ModelSettings:
        values = {"device": self.device, "dtype": self.dtype, "attention": self.attention}
        changes = {name: value for name, value in values.items() if value is not None}
        trusted = self.trust_remote_code or settings.trust_remote_code
        return settings.model_copy(update={**changes, "trust_remote_code": trusted})


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
        config: settings of a run or an evaluation, instead of those that the folder holds; its `model.path` is the
            base of an adapter.

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
    if manifest is not None and manifest.reader in OTHER_RUNTIMES.values():
        return _of_other_runtime(str(name), path, manifest, config, options)
    if (path / SETTINGS).is_file():
        return _of_adapter(str(name), path, config, options)
    return _of_checkpoint(str(name), manifest, config, options)


def resolve_run_base(
    config: RunConfig, run: RunFolder, *, trained: bool = True, options: LoadOptions = LoadOptions()
) -> ModelSource:
    """The base of a run alone, with the prompt and the pixel budget of training.

    Args:
        trained: the run must have an adapter that belongs to this base; else it may be untrained.

    Raises:
        RunError: `trained`, and there is no adapter.
        ModelError: the adapter is damaged, or belongs to another base.
    """
    if trained and not run.adapter.is_dir():
        raise RunError(f"{run.path}: no adapter in it; train it first, `texlens train --resume {run.path}`")
    metadata = check_adapter(run.adapter) if trained else AdapterMetadata.read(run.adapter)
    settings = options.applied_to(config.model)
    base = _build_base(settings, metadata)
    if trained and metadata:
        metadata.check_base(base.fingerprint, run.adapter)
    return ModelSource(
        settings.path,
        _name(settings.path),
        "checkpoint",
        base,
        settings,
        _style(config),
        default_max_new_tokens(read_config(base.folder)),
        quantize=config.base,
        preparation=run_preparation(settings, base.folder),
    )


def _of_run(path: str, run: RunFolder, weights: Path, config: RunConfig | None, options: LoadOptions) -> ModelSource:
    metadata = check_adapter(weights)
    config = config or load_saved_config(run.config)
    full = is_full(weights)
    settings = options.applied_to(config.model)
    if not full:
        _note_base(path, settings.path)
    base_settings = settings.model_copy(update={"path": str(weights)}) if full else settings
    base = _build_base(base_settings, metadata)
    if metadata and not full:
        metadata.check_base(base.fingerprint, weights)
    name = run.path.resolve().name
    return ModelSource(
        path,
        name if weights.name == "adapter" else f"{name}-{weights.name}",
        "full" if full else "adapter",
        base,
        base_settings,
        _style(config),
        default_max_new_tokens(read_config(base.folder)),
        adapter=None if full else weights,
        quantize=None if full else config.base,
        calibration=read_calibration(weights),
        preparation=read_preparation(weights),
    )


def _of_adapter(path: str, folder: Path, config: RunConfig | None, options: LoadOptions) -> ModelSource:
    metadata = check_adapter(folder)
    base_path = metadata.base if metadata else _base_of_peft(folder)
    names_itself = config is not None and Path(config.model.path) == folder  # as `evaluate ADAPTER --data` does
    settings = options.applied_to(_settings(config, base_path))
    if names_itself:
        settings = settings.model_copy(update={"path": base_path})
    _note_base(path, settings.path)
    base = _build_base(settings, metadata)
    if metadata:
        metadata.check_base(base.fingerprint, folder)
    quantize = config.base if config and not names_itself else _quantize_of(metadata)
    return ModelSource(
        path,
        _name(path),
        "adapter",
        base,
        settings,
        _style(None if names_itself and "prompt" not in config.data.model_fields_set else config, metadata),
        default_max_new_tokens(read_config(base.folder)),
        adapter=folder,
        quantize=quantize,
        calibration=read_calibration(folder),
        preparation=read_preparation(folder),
    )


def _of_checkpoint(
    path: str, manifest: ExportManifest | None, config: RunConfig | None, options: LoadOptions
) -> ModelSource:
    """A checkpoint as it is; an export, or weights that were trained in full, bring their prompt and pixel budget."""
    metadata: AdapterMetadata | ExportManifest | None = manifest
    if metadata is None and Path(path).is_dir() and is_full(Path(path)) and BASE_KEY in read_metadata(Path(path)):
        metadata = AdapterMetadata.read(Path(path))
    settings = options.applied_to(_settings(config, path).model_copy(update={"path": path}))
    base = _build_base(settings, metadata)
    return ModelSource(
        path,
        _name(path),
        "checkpoint",
        base,
        settings,
        _style(config, metadata),
        default_max_new_tokens(read_config(base.folder)),
        calibration=read_calibration(base.folder),
        preparation=read_preparation(base.folder),
    )


def _of_other_runtime(
    path: str, folder: Path, manifest: ExportManifest, config: RunConfig | None, options: LoadOptions
) -> ModelSource:
    return ModelSource(
        path,
        _name(path),
        "gguf" if manifest.reader == "llama.cpp" else "onnx",
        BaseCheckpoint(path, folder, manifest.base_fingerprint, load_processor(folder, resize=manifest.resize)),
        options.applied_to(_settings(config, path)),
        _style(config, manifest),
        default_max_new_tokens(read_config(folder)),
        calibration=read_calibration(folder),
        preparation=read_preparation(folder),
        gguf_files=_gguf_files(folder, manifest) if manifest.reader == "llama.cpp" else None,
    )


def _settings(config: RunConfig | None, path: str) -> ModelSettings:
    return config.model if config else ModelSettings(path=path)


def _style(config: RunConfig | None, metadata: "AdapterMetadata | ExportManifest | None" = None) -> PromptStyle:
    """The prompt of the settings, else of the folder's metadata, else the default one."""
    if config is not None:
        return PromptStyle(config.data.prompt, config.data.system_prompt)
    return PromptStyle(metadata.prompt, metadata.system_prompt) if metadata else PromptStyle(DEFAULT_PROMPT)


def _quantize_of(metadata: AdapterMetadata | None) -> QuantizeSettings | None:
    """How the base was held in memory while the adapter was trained."""
    if metadata is None:
        return None
    try:
        return QuantizeSettings.model_validate({"quantize": metadata.base_quantize})
    except ValidationError:
        raise ModelError(
            f"texlens.json: base_quantize is {metadata.base_quantize[:60]!r}, which is not known; upgrade texlens"
        ) from None


def _gguf_files(folder: Path, manifest: ExportManifest) -> tuple[str, str]:
    """Names of the model and of its projector, both inside the folder."""
    names = tuple(str(manifest.notes.get(key, "")) for key in ("model", "projector"))
    if any(not name or Path(name).name != name or not (folder / name).is_file() for name in names):
        raise ModelError(f"{folder}: its texlens.json names no GGUF model and projector in it; export it again")
    return names[0], names[1]


def _build_base(settings: ModelSettings, metadata: AdapterMetadata | ExportManifest | None) -> BaseCheckpoint:
    """The checkpoint with the pixel budget of training, where metadata says it."""
    low, high = (metadata.min_pixels, metadata.max_pixels) if metadata else (None, None)
    if metadata and not 0 < metadata.min_pixels <= metadata.max_pixels <= MAX_BUDGET_PIXELS:
        raise ModelError(
            f"texlens.json: a pixel budget of {low} to {high}; it must be positive and at most {MAX_BUDGET_PIXELS:,}"
        )
    return build_base(settings, min_pixels=low, max_pixels=high, resize=metadata.resize if metadata else None)


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


def _note_base(path: str, base: str) -> None:
    """Say which base a folder names, since that path is outside the folder."""
    if base != "nano":
        print_note(f"{path} names its base model: {base}")


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
    return replace(
        source,
        path=path,
        name=_name(path),
        kind="checkpoint",
        base=base,
        style=_style(None, ExportManifest.read(base.folder)),
        adapter=None,
        calibration=read_calibration(base.folder),
        preparation=read_preparation(base.folder),
    )
