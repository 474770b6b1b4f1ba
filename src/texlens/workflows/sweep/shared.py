"""What the trials of a sweep share: the base model in memory, and the checked rows.

A trained adapter is taken off the model again. The next trial gets the model only if every weight is what it was, by a
checksum; if not, the files are read again.
"""

import json
from collections.abc import Callable
from typing import Any

import torch
from peft import PeftModel
from rich.console import Console
from torch import nn
from transformers import PreTrainedModel

from texlens.config.model import ModelSettings
from texlens.config.quantize import QuantizeSettings
from texlens.config.run import RunConfig
from texlens.inference.free_memory import free_memory
from texlens.models.build import BaseCheckpoint, build_model
from texlens.training.prepare import Prepared, prepare

BLOCK_BYTES = 1 << 24
"""Weights that a checksum looks at together; it takes 16 times their memory."""


class SharedModels:
    """See `BaseModels`. `loads` counts how often the files were read."""

    def __init__(self, load: Callable[..., PreTrainedModel] = build_model):
        self.loads = 0
        self._load = load
        self._model: PreTrainedModel | None = None
        self._key: object = None
        self._checksum = 0

    def load(self, base: BaseCheckpoint, settings: ModelSettings, quantize: QuantizeSettings) -> PreTrainedModel:
        key = base.fingerprint, settings.model_dump_json(), quantize.model_dump_json()
        model, self._model = self._model, None
        if model is not None and key == self._key:
            return model
        del model
        free_memory()
        self.loads += 1
        loaded = self._load(base, settings, quantize)
        self._key, self._checksum = key, weights_checksum(loaded)
        return loaded

    def release(self, adapted: Any) -> None:
        """Keeps the base of a `PeftModel`, if it is unchanged; drops other models."""
        self._model = None
        if not isinstance(adapted, PeftModel) or _recomputes(adapted):
            return
        base: Any = adapted.unload()
        make_contiguous(base)
        if weights_checksum(base) == self._checksum:
            self._model = base.train(False)


class SharedInputs:
    """`prepare`, with the base and the rows read once for the same model and data settings."""

    def __init__(self):
        self.reads = 0
        self._prepared: dict[str, Prepared] = {}

    def prepare(self, config: RunConfig, console: Console) -> Prepared:
        key = json.dumps([config.model.model_dump(mode="json"), config.data.model_dump(mode="json")], sort_keys=True)
        known = self._prepared.get(key)
        prepared = prepare(config, console, shared=known)
        self.reads += known is None
        self._prepared.setdefault(key, prepared)
        return prepared


def _recomputes(model: nn.Module) -> bool:
    """Whether a training has turned on gradient checkpointing, which the next one may not want."""
    names = ("gradient_checkpointing", "activation_checkpointing")
    return any(vars(module).get(name) for module in model.modules() for name in names)


def weights_checksum(model: nn.Module) -> int:
    """A sum over the bytes of all parameters and buffers, each weighted by its place in the model."""
    total, index = 0, 0
    for tensor in (*model.parameters(), *model.buffers()):
        for block in tensor.detach().contiguous().reshape(-1).view(torch.uint8).split(BLOCK_BYTES):
            index += 1
            weights = torch.arange(len(block), device=block.device).remainder_(8191).add_(1)
            total += index * int((block.long() * weights).sum())
    return total % (1 << 61)


def make_contiguous(model: nn.Module) -> None:
    """Packed training leaves weights as views of wider tensors, which kernels would read in another order."""
    for parameter in model.parameters():
        if not parameter.is_contiguous():
            parameter.data = parameter.data.contiguous()
