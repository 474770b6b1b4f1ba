"""The run's own systems: its base and its adapter, which share the model in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from texlens.adapters.lora import adapter_files, is_full
from texlens.config.run import RunConfig
from texlens.core.files import sha256_of
from texlens.core.run_folder import RunFolder
from texlens.evaluation.systems.protocol import SystemSource
from texlens.inference.free_memory import free_memory
from texlens.inference.model import LoadedModel
from texlens.inference.open import open_model
from texlens.inference.open_shared import base_of
from texlens.inference.opening.source import resolve_run_base
from texlens.models.build import BaseCheckpoint
from texlens.models.metadata import stored_preparation


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
        quantize, geometry, data = self.config.base.quantize, self.base.processor.geometry, self.config.data
        preparation = stored_preparation(self.config.model, self.base.folder)
        return {
            "base": self.base.fingerprint,
            "pixels": geometry.chosen,
            "prompt": [data.system_prompt, data.prompt],
            **({} if quantize == "none" else {"quantize": quantize}),
            **({} if preparation is None else {"image_preparation": preparation}),
        }

    @property
    def shares_base(self) -> bool:
        """Whether base and adapter are one model in memory."""
        return self.with_adapter and not is_full(self.run.adapter)

    def _loaded(self, name: str) -> dict[str, LoadedModel]:
        if name == "base" and not self.shares_base:
            return {name: open_model(resolve_run_base(self.config, self.run, trained=self.with_adapter))}
        adapter = open_model(self.run.adapter, config=self.config)
        return {"adapter": adapter, **({"base": base_of(adapter)} if self.shares_base else {})}


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


def run_systems(
    config: RunConfig, folder: RunFolder, base: BaseCheckpoint, systems: Sequence[str]
) -> tuple[SharedModel, list[SystemSource]]:
    """The model that they share, and the systems `base` and `adapter` as named, in that order."""
    shared = SharedModel(config, base, folder, with_adapter="adapter" in systems)
    named: dict[str, SystemSource] = {"base": BaseSource(shared), "adapter": AdapterSource(shared)}
    return shared, [named[name] for name in systems]
