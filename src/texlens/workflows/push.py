"""A run's adapter or an exported folder, published with a model card: staged, checked, and only then uploaded."""

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from texlens.adapters.lora import is_full
from texlens.config.run import RunConfig
from texlens.core.errors import ConfigError, ExportError
from texlens.core.files import write_text
from texlens.core.run_folder import MANIFEST, RunFolder
from texlens.evaluation.saved_run import open_run
from texlens.exporting.formats.registry import FORMATS
from texlens.exporting.pipeline import export_run
from texlens.exporting.push.files import PublishedFile, check_no_paths, published_files, without_paths
from texlens.exporting.push.hubs import find_uploader
from texlens.exporting.push.model_card import ModelCardContent, model_card_text
from texlens.models.bundled import bundled_names
from texlens.models.export_manifest import ExportManifest
from texlens.models.hubs import is_hub_id

SPLITS = ("train", "validation", "test")
PRIVATE_DATA = "rows that are not published"


@dataclass(frozen=True)
class Push:
    """`url` is None in a dry run; `left_out` are files of the folder that are not on the allow-list."""

    hub_id: str
    source: str
    model_card: str
    files: list[PublishedFile]
    left_out: list[str]
    url: str | None

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.hub_id,
            "source": self.source,
            "url": self.url,
            "files": [file.to_json() for file in self.files],
            "left_out": self.left_out,
        }


@dataclass(frozen=True)
class PushRequest:
    """What is published where.

    Attributes:
        model: a run folder, one of its checkpoints, or an exported folder.
        run: of an exported folder: the run that it was made from, for the model card.
        base: hub id of the base, where its settings name a folder.
        license: of the weights; None takes the base's where its folder says it.
    """

    model: Path
    hub_id: str
    source: str = "huggingface"
    private: bool = False
    checkpoint: str | None = None
    run: Path | None = None
    base: str | None = None
    license: str | None = None


def push(request: PushRequest, *, console: Console, upload: bool = True) -> Push:
    """Stages the folder, writes its model card, checks what would be published, and uploads it.

    Args:
        upload: False is a dry run, which needs no network and no token.

    Raises:
        ConfigError: not a hub id, or the hub's package is missing.
        ExportError: no weights, a path of this machine in a file, no token, or the hub refuses.
        RunError, ModelError: no run or exported folder.
    """
    if not is_hub_id(request.hub_id):
        raise ConfigError(f"--to {request.hub_id}: not a hub id; write it as owner/name")
    uploader = find_uploader(request.source)
    with tempfile.TemporaryDirectory(prefix="texlens-push-") as folder:
        staging = Path(folder) / request.hub_id.rpartition("/")[2]
        config, run, left = _staged(request, staging, console)
        manifest, private = _public(request, staging, config)
        content = _content(request, manifest, config, run, staging)
        model_card = model_card_text(content)
        write_text(staging / "README.md", model_card)
        files, _ = published_files(staging)
        check_no_paths(staging, files, private)
        url = None
        if upload:
            names = [file.path for file in files]
            url = uploader.upload(staging, names, request.hub_id, private=request.private)
    return Push(request.hub_id, request.source, model_card, files, left, url)


def _staged(
    request: PushRequest, staging: Path, console: Console
) -> tuple[RunConfig | None, RunFolder | None, list[str]]:
    """Copies what may be published to `staging`; returns the run's settings and folder where it is known."""
    manifest = ExportManifest.read(request.model) if request.model.is_dir() else None
    if manifest is None or (request.model / MANIFEST).is_file():
        config, run = open_run(request.model, (), request.checkpoint)
        format_name = "merged" if is_full(run.adapter) else "adapter"
        export_run(config, run, staging, format_name, console=console)
        return config, run, []
    files, left = published_files(request.model)
    for file in files:
        (staging / file.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(request.model / file.path, staging / file.path)
    if request.run is None:
        return None, None, left
    config, run = open_run(request.run)
    return config, run, left


def _public(request: PushRequest, staging: Path, config: RunConfig | None) -> tuple[ExportManifest, list[str]]:
    """The manifest with public names alone, and the texts that no published file may contain."""
    manifest = ExportManifest.read(staging)
    if manifest is None:
        raise ExportError(f"{request.model}: no metadata of an export (texlens.json) in it")
    base = request.base or public_base(manifest.base)
    replaced = {manifest.base: base, str(Path(manifest.base).absolute()): base}
    if config is not None and not _is_public(config.data.path):
        replaced |= {f"{config.data.path} {split}": f"{PRIVATE_DATA}, split {split}" for split in SPLITS}
    without_paths(staging, replaced)
    private_texts = [str(request.model.absolute()), str(Path.home())]
    if manifest.base != base:
        private_texts.append(manifest.base)
    if config is not None and not _is_public(config.data.path):
        private_texts += [config.data.path, str(Path(config.data.path).absolute())]
    return replace(manifest, base=base), [text for text in private_texts if len(text) > 3]


def public_base(base: str) -> str:
    """The hub id of a base: as it is named, or of the known model that a folder is called after.

    Example:
        "/models/Qwen3-VL-4B-Instruct" -> "Qwen/Qwen3-VL-4B-Instruct"

    Raises:
        ConfigError: a folder with another name.
    """
    if base == "nano" or (is_hub_id(base) and not Path(base).exists()):
        return base
    name = Path(base).name
    known = next((known for known in bundled_names() if known.lower() == name.lower()), None)
    if known is None:
        raise ConfigError(f"{base}: a folder, which others don't have; name the base's hub id with --base")
    return f"Qwen/{known}"


def _is_public(path: str) -> bool:
    """Whether data are named by a hub's id, or ship with TexLens."""
    return path == "demo" or (is_hub_id(path.rpartition(":")[2]) and not Path(path).exists())


def _content(
    request: PushRequest, manifest: ExportManifest, config: RunConfig | None, run: RunFolder | None, staging: Path
) -> ModelCardContent:
    known, source = _license(request, manifest)
    export_format = FORMATS[manifest.format]
    is_bundled = manifest.base == "nano"
    commands = [] if is_bundled else export_format.serving_commands(manifest, Path(request.hub_id), staging)
    scores = (run.read_json("scores/compare.test.json") if run else None) or {}
    return ModelCardContent(
        hub_id=request.hub_id,
        manifest=manifest,
        data=_data(config),
        rows=_rows(run),
        settings=_settings(config, run, manifest),
        license=known,
        license_source=source,
        scores=scores,
        loading=export_format.loading_code(manifest, request.hub_id),
        commands=[command.command for command in commands],
    )


def _data(config: RunConfig | None) -> str:
    if config is None or not _is_public(config.data.path):
        return PRIVATE_DATA.capitalize() if config else "The rows that the exported run was trained on"
    return " ".join(part for part in (config.data.path, config.data.subset) if part)


def _rows(run: RunFolder | None) -> dict[str, int]:
    splits = ((run.read_json("data.json") if run else None) or {}).get("splits", {})
    return {role: int(split["kept"]) for role, split in splits.items() if "kept" in split}


def _settings(config: RunConfig | None, run: RunFolder | None, manifest: ExportManifest) -> list[tuple[str, str]]:
    method = manifest.notes.get("method", manifest.format)
    if config is None or run is None:
        return [("format", manifest.format), ("method", str(method))]
    adapter, train, optimizer = config.adapter, config.train, config.train.optimizer
    training = run.manifest.get("training", {})
    environment = run.read_json("environment.json") or {}
    shown = [
        ("adapter", _adapter(adapter)),
        ("base in training", config.base.quantize if config.base.quantize != "none" else "16 or 32 bits"),
        ("steps", f"{training['steps']:,} ({training['epochs']:g} epochs)" if training else ""),
        ("rows of a step", f"{train.batch_size * train.gradient_accumulation}"),
        ("optimizer", f"{optimizer.name}, learning rate {optimizer.learning_rate:g}, {optimizer.schedule} schedule"),
        ("seed", str(train.seed)),
        ("token limit when read", str(manifest.max_new_tokens)),
        ("hardware", environment.get("gpu") or environment.get("cpu", "")),
        ("software", ", ".join(f"{name} {version}" for name, version in environment.get("packages", {}).items())),
    ]
    return [(label, value) for label, value in shown if value]


def _adapter(adapter: Any) -> str:
    if adapter.kind == "full":
        return f"all weights of {', '.join(adapter.targets)}"
    experts = f", {adapter.experts} experts" if adapter.kind == "moe-lora" else ""
    shape = f"{adapter.kind}, rank {adapter.rank}, alpha {adapter.alpha:g}, dropout {adapter.dropout:g}"
    return f"{shape}, on {', '.join(adapter.targets)}{experts}"


def _license(request: PushRequest, manifest: ExportManifest) -> tuple[str | None, str]:
    """The licence and where it is known from."""
    if request.license:
        return request.license, "as its publisher states"
    if manifest.base == "nano":
        return "apache-2.0", "that of the base, which ships with TexLens"
    return None, f"see that of the base on its page, `{manifest.base}`"
