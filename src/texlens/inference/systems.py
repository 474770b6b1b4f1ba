"""What reads a run's rows: its base, its adapter, or an exported folder, each with the same two questions to answer."""

import gc
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from texlens.adapters.lora import SETTINGS, load_adapter
from texlens.config.run import RunConfig
from texlens.core.errors import ModelError
from texlens.data.sample import Sample
from texlens.inference.generate import generate
from texlens.inference.next_token_logits import first_logits
from texlens.metrics.prediction import Prediction
from texlens.models.build import BaseCheckpoint, build_model
from texlens.models.checkpoint import check_checkpoint
from texlens.models.export_manifest import ExportManifest
from texlens.models.load import load_model
from texlens.models.processor import Processor, load_processor


class System(Protocol):
    """Something that reads images."""

    def read(self, samples: Sequence[Sample]) -> Iterator[Prediction]:
        """Predictions in any order."""
        ...

    def first_logits(self, samples: Sequence[Sample]) -> Tensor:
        """Float32 [samples, vocabulary]; NaN rows where an image can't be read."""
        ...


@dataclass(frozen=True)
class ModelSystem:
    """A model of transformers, asked as the run's settings say."""

    model: torch.nn.Module
    processor: Processor
    config: RunConfig

    def read(self, samples: Sequence[Sample]) -> Iterator[Prediction]:
        settings, data = self.config.evaluate, self.config.data
        return generate(
            self.model,
            self.processor,
            samples,
            question=data.prompt,
            system=data.system_prompt,
            batch_size=settings.batch_size,
            max_new_tokens=settings.max_new_tokens,
            do_sample=settings.temperature > 0,
            temperature=settings.temperature or 1.0,
            seed=settings.seed,
        )

    def first_logits(self, samples: Sequence[Sample]) -> Tensor:
        data = self.config.data
        return first_logits(self.model, self.processor, samples, question=data.prompt, system=data.system_prompt)


def open_adapter(config: RunConfig, base: BaseCheckpoint, folder: Path) -> ModelSystem:
    """An adapter's folder on the run's base."""
    model = load_adapter(build_model(base, config.model, config.base), folder, fingerprint=base.fingerprint).eval()
    return ModelSystem(model, base.processor, config)


def open_artifact(config: RunConfig, base: BaseCheckpoint, folder: Path) -> System:
    """An exported folder of any format, read with its own processor.

    Raises:
        ModelError: no exported folder, or one of another base.
    """
    card = check_artifact(folder, base.fingerprint)
    if (folder / SETTINGS).is_file():
        return open_adapter(config, base, folder)
    if card.reader == "llama.cpp":
        from texlens.inference.backends.llama_cpp_system import LlamaSystem

        return LlamaSystem.open(folder, card, config)
    check_checkpoint(folder)
    settings = config.model
    # bitsandbytes says on every product which type it computes in.
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    model = load_model(folder, device=settings.device, dtype=settings.dtype, attention=settings.attention)
    return ModelSystem(model, load_processor(folder), config)


def check_artifact(folder: Path, fingerprint: str) -> ExportManifest:
    """
    Raises:
        ModelError: as `open_artifact`, before anything large is read.
    """
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such folder; name one that `texlens export` made")
    card = ExportManifest.read(folder)
    if card is None:
        raise ModelError(
            f"{folder}: no card of an export (texlens.json) in it; name a folder that `texlens export` made"
        )
    if card.base_fingerprint != fingerprint:
        raise ModelError(
            f"{folder}: made of another base ({card.base}, fingerprint {card.base_fingerprint[:12]}) than this run's "
            f"({fingerprint[:12]}); name the run that it was exported from"
        )
    return card


def released() -> None:
    """Gives back the memory of a model that is no longer named."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
