"""Which packs a run makes: the fastest that fit beside weights, adapters and optimizer."""

import math
from dataclasses import dataclass
from typing import Any

import torch

from texlens.config.run import RunConfig
from texlens.config.train import TrainSettings
from texlens.core.errors import ConfigError
from texlens.models.packed.memory import PACK_TOKENS, PackChoice, PackOptions, choose_pack, smallest_pack, static_bytes
from texlens.models.packed.text import RECOMPUTE

CPU_PACK_TOKENS = (2048, 1024)
USABLE = 0.92
"""Of a card's memory, what `train.memory_gib: auto` plans with."""
GIB = 2**30


@dataclass(frozen=True)
class PackPlan:
    """`gib` is what the whole run is planned to take."""

    choice: PackChoice
    gib: float
    notes: tuple[str, ...] = ()


def plan_packs(config: RunConfig, model: Any, device: torch.device) -> PackPlan:
    """
    Args:
        model: the stock model with its adapters, as it will be trained.

    Raises:
        ConfigError: no pack fits into `train.memory_gib`.
    """
    settings, text_config = config.train, model.config.text_config
    held = static_bytes(model, optimizer=settings.optimizer.name)
    itemsize = max(next(model.model.language_model.parameters()).itemsize, 2)
    options = pack_options(settings, on_gpu=device.type == "cuda", itemsize=itemsize)
    memory = _memory(settings, device)
    chosen = choose_pack(text_config, memory * GIB - held, options)
    if chosen:
        return PackPlan(chosen, round((held + chosen.nbytes) / GIB, 2))
    least = smallest_pack(text_config, options)
    needed = (held + least.nbytes) / GIB
    if settings.memory_gib == "auto":
        note = f"the smallest packs are planned to take {needed:.1f} GiB, {memory:.1f} are there: it may not fit"
        return PackPlan(least, round(needed, 2), (note,))
    raise ConfigError(
        f"train.memory_gib: {settings.memory_gib:g} is too little, this run needs at least {needed:.3g} GiB, "
        f"{held / GIB:.3g} of them for weights, adapters and optimizer; raise it, or {_saving(config)}"
    )


def pack_options(settings: TrainSettings, *, on_gpu: bool, itemsize: int = 2) -> PackOptions:
    """What `choose_pack` may choose from."""
    sizes = PACK_TOKENS if on_gpu else CPU_PACK_TOKENS
    recompute = RECOMPUTE if settings.recompute == "auto" else (settings.recompute,)
    return PackOptions(
        sizes if settings.pack_tokens == "auto" else (settings.pack_tokens,),
        ("full",) if settings.gradient_checkpointing else recompute,
        itemsize,
    )


def _saving(config: RunConfig) -> str:
    """What would take less memory."""
    train = config.train
    if train.pack_tokens != "auto" or train.recompute not in ("auto", "full"):
        return "leave train.pack_tokens and train.recompute to auto"
    return "set base.quantize: nf4" if config.base.quantize in ("none", "fp8") else "lower adapter.rank"


def _memory(settings: TrainSettings, device: torch.device) -> float:
    """GiB that training may take."""
    if settings.memory_gib != "auto":
        return float(settings.memory_gib)
    if device.type != "cuda":
        return math.inf
    return torch.cuda.get_device_properties(device).total_memory / GIB * USABLE
