"""The systems of a run that can be measured: its base, its adapter and exported folders, each opened when needed."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from transformers import PreTrainedModel

from texlens.adapters.lora import adapter_files, load_adapter
from texlens.config.run import RunConfig
from texlens.core.errors import ConfigError
from texlens.core.files import sha256_of
from texlens.core.run_folder import RunFolder
from texlens.inference.systems import ModelSystem, System, check_artifact, open_artifact, released
from texlens.models.build import BaseCheckpoint, build_model

RUN_SYSTEMS = ("base", "adapter")


class SystemSource(Protocol):
    """A system by name: what identifies it, and how to open it. A new kind of system implements this."""

    @property
    def name(self) -> str: ...

    def identity(self) -> dict[str, Any]:
        """All of the system that decides its predictions, ready for JSON."""
        ...

    def open(self) -> System: ...


@dataclass
class SharedModel:
    """The run's base in memory, loaded once for the base and the adapter on it."""

    config: RunConfig
    base: BaseCheckpoint
    model: PreTrainedModel | None = field(default=None, init=False)

    def load(self) -> PreTrainedModel:
        self.model = self.model or build_model(self.base, self.config.model)
        return self.model

    def free(self) -> None:
        self.model = None
        released()


@dataclass(frozen=True)
class BaseSource:
    shared: SharedModel
    name: str = "base"

    def identity(self) -> dict[str, Any]:
        return {"base": self.shared.base.fingerprint, "adapter": None}

    def open(self) -> System:
        return ModelSystem(self.shared.load(), self.shared.base.processor, self.shared.config)


@dataclass(frozen=True)
class AdapterSource:
    shared: SharedModel
    folder: Path
    name: str = "adapter"

    def identity(self) -> dict[str, Any]:
        return {"base": self.shared.base.fingerprint, "adapter": sha256_of(*adapter_files(self.folder))}

    def open(self) -> System:
        base = self.shared.base
        model = load_adapter(self.shared.load(), self.folder, fingerprint=base.fingerprint)
        return ModelSystem(model, base.processor, self.shared.config)


@dataclass(frozen=True)
class ExportSource:
    """A folder that `texlens export` made of the run."""

    shared: SharedModel
    folder: Path
    name: str

    def identity(self) -> dict[str, Any]:
        return {"base": self.shared.base.fingerprint, "artifact": _files_digest(self.folder)}

    def open(self) -> System:
        self.shared.free()
        return open_artifact(self.shared.config, self.shared.base, self.folder)


def run_sources(
    config: RunConfig, folder: RunFolder, base: BaseCheckpoint, systems: Sequence[str], exports: Mapping[str, Path]
) -> list[SystemSource]:
    """Sources of the run's own systems and of exported folders, in that order.

    Raises:
        ModelError: an exported folder belongs to another base.
    """
    for path in exports.values():
        check_artifact(path, base.fingerprint)
    shared = SharedModel(config, base)
    run_systems: dict[str, SystemSource] = {
        "base": BaseSource(shared),
        "adapter": AdapterSource(shared, folder.adapter),
    }
    return [
        *(run_systems[name] for name in systems),
        *(ExportSource(shared, path, name) for name, path in exports.items()),
    ]


def names_of_folders(folders: Sequence[Path]) -> dict[str, Path]:
    """Folders by name, the shortest ends of their paths that differ.

    Example:
        [out/a/nf4, out/b/nf4] -> {"a-nf4": out/a/nf4, "b-nf4": out/b/nf4}

    Raises:
        ConfigError: a folder given twice, or with the name of one of the run's own systems.
    """
    if not folders:
        return {}
    paths = [folder.resolve() for folder in folders]
    if len(set(paths)) < len(paths):
        raise ConfigError("a folder is named twice; name each once")
    names: list[str] = []
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["-".join(path.parts[-depth:]).strip("/") for path in paths]
        if len(set(names)) == len(names):
            break
    if taken := sorted(set(names) & set(RUN_SYSTEMS)):
        raise ConfigError(f"{taken[0]}: the run's own {taken[0]} has that name already; rename the exported folder")
    return dict(zip(names, folders, strict=True))


def _files_digest(folder: Path) -> str:
    """SHA-256 over names, sizes and times of change of a folder's files, which may be many gigabytes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    stats = [(str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(json.dumps(stats).encode()).hexdigest()
