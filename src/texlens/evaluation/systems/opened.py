"""Any model that `open_model` opens, as a system: another run, a checkpoint, an adapter, an export, a bare model."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from texlens.adapters.lora import adapter_files
from texlens.config.data import DataSettings
from texlens.core.files import sha256_of
from texlens.core.run_folder import MANIFEST, RunFolder
from texlens.inference.model import LoadedModel
from texlens.inference.open import open_model
from texlens.inference.opening.run_checkpoint import run_of_weights
from texlens.inference.opening.source import OTHER_RUNTIMES, ModelSource, resolve
from texlens.inputs.chat_template import PromptStyle


@dataclass(frozen=True)
class OpenedSource:
    """A trained model is asked with the prompt of its own training, a bare one with the prompt of `data`.

    Attributes:
        free: called before it is opened, to give back the memory of the systems before.
    """

    name: str
    system: str
    data: DataSettings
    free: Callable[[], None]

    @cached_property
    def source(self) -> ModelSource:
        source = resolve(self.system)
        is_bare = source.kind == "checkpoint" and not (Path(self.system) / "texlens.json").is_file()
        style = PromptStyle(self.data.prompt, self.data.system_prompt)
        return replace(source, style=style) if is_bare else source

    @property
    def run(self) -> RunFolder | None:
        """The run whose weights these are, where it is known."""
        path = Path(self.system)
        return RunFolder(path) if (path / MANIFEST).is_file() else run_of_weights(path) if path.is_dir() else None

    def identity(self) -> dict[str, Any]:
        source = self.source
        geometry = source.base.processor.geometry
        return {
            "kind": source.kind,
            "base": source.base.fingerprint,
            "adapter": sha256_of(*adapter_files(source.adapter)) if source.adapter else None,
            "files": _files_digest(source.base.folder) if source.kind in OTHER_RUNTIMES else None,
            "quantize": source.quantize.model_dump(mode="json") if source.quantize else None,
            "pixels": geometry.chosen,
            "prompt": [source.style.system_prompt, source.style.prompt],
            **({} if source.preparation is None else {"image_preparation": asdict(source.preparation)}),
        }

    def open(self) -> LoadedModel:
        self.free()
        return open_model(self.source)


def _files_digest(folder: Path) -> str:
    """SHA-256 over names, sizes and times of change of a folder's files, which may be many gigabytes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    stats = [(str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(json.dumps(stats).encode()).hexdigest()
