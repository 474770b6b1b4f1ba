"""The systems of a run that can be measured: its base, its adapter and exported folders, each opened when needed."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from texlens.adapters.lora import adapter_files, is_full
from texlens.config.run import RunConfig
from texlens.core.errors import ConfigError
from texlens.core.files import sha256_of
from texlens.core.run_folder import RunFolder
from texlens.inference.exports import check_export
from texlens.inference.free_memory import free_memory
from texlens.inference.model import LoadedModel
from texlens.inference.open import open_model
from texlens.inference.open_shared import base_of
from texlens.inference.source import resolve_run_base
from texlens.models.build import BaseCheckpoint

RUN_SYSTEMS = ("base", "adapter")


class SystemSource(Protocol):
    """A system by name: what identifies it, and how to open it. A new kind of system implements this."""

    @property
    def name(self) -> str: ...

    def identity(self) -> dict[str, Any]:
        """All of the system that decides its predictions, ready for JSON."""
        ...

    def open(self) -> LoadedModel: ...


@dataclass
class SharedModel:
    """The run's base in memory, loaded once for the base and the adapter on it.

    The base is quantized as it was in training; `--set base.quantize=none` reads it in 16 bits.
    """

    config: RunConfig
    base: BaseCheckpoint
    run: RunFolder
    with_adapter: bool
    models: dict[str, LoadedModel] = field(default_factory=dict, init=False)

    def load(self, name: str) -> LoadedModel:
        """`base` or `adapter`; weights that were trained in full are a model of their own."""
        if name not in self.models:
            self.free()
            self.models = self._loaded(name)
        return self.models[name]

    def free(self) -> None:
        self.models = {}
        free_memory()

    @property
    def identity(self) -> dict[str, Any]:
        quantize = self.config.base.quantize
        return {"base": self.base.fingerprint, **({} if quantize == "none" else {"quantize": quantize})}

    def _loaded(self, name: str) -> dict[str, LoadedModel]:
        shares_base = self.with_adapter and not is_full(self.run.adapter)
        if name == "base" and not shares_base:
            return {name: open_model(resolve_run_base(self.config, self.run, trained=self.with_adapter))}
        adapter = open_model(self.run.adapter, config=self.config)
        return {"adapter": adapter, **({"base": base_of(adapter)} if shares_base else {})}


@dataclass(frozen=True)
class BaseSource:
    shared: SharedModel
    name: str = "base"

    def identity(self) -> dict[str, Any]:
        return {**self.shared.identity, "adapter": None}

    def open(self) -> LoadedModel:
        return self.shared.load("base")


@dataclass(frozen=True)
class AdapterSource:
    shared: SharedModel
    name: str = "adapter"

    def identity(self) -> dict[str, Any]:
        return {**self.shared.identity, "adapter": sha256_of(*adapter_files(self.shared.run.adapter))}

    def open(self) -> LoadedModel:
        return self.shared.load("adapter")


@dataclass(frozen=True)
class ExportSource:
    """A folder that `texlens export` made of the run."""

    shared: SharedModel
    folder: Path
    name: str

    def identity(self) -> dict[str, Any]:
        return {"base": self.shared.base.fingerprint, "artifact": _files_digest(self.folder)}

    def open(self) -> LoadedModel:
        self.shared.free()
        return open_model(self.folder, config=self.shared.config)


def run_sources(
    config: RunConfig, folder: RunFolder, base: BaseCheckpoint, systems: Sequence[str], exports: Mapping[str, Path]
) -> list[SystemSource]:
    """Sources of the run's own systems and of exported folders, in that order.

    Raises:
        ModelError: an exported folder belongs to another base.
    """
    for path in exports.values():
        check_export(path, base.fingerprint)
    shared = SharedModel(config, base, folder, with_adapter="adapter" in systems)
    run_systems: dict[str, SystemSource] = {"base": BaseSource(shared), "adapter": AdapterSource(shared)}
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
