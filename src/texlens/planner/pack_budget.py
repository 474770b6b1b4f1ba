"""Pack size and recomputation of a run: the fastest that fit next to weights, adapters and optimizer."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from texlens.config.objective import PREFERENCES, GrpoObjective
from texlens.config.run import RunConfig
from texlens.config.train import ComputeSettings
from texlens.core.errors import ConfigError
from texlens.models.packed.hybrid_memory import more_for_answers
from texlens.models.packed.memory import (
    PACK_TOKENS,
    PackChoice,
    PackOptions,
    choose_pack,
    smallest_pack,
    static_bytes,
    vision_bytes_per_token,
)
from texlens.models.packed.text import RECOMPUTE
from texlens.planner.objectives.costs import reserved_bytes

CPU_PACK_TOKENS = (2048, 1024)
USABLE = 0.92
"""Share of a GPU's memory that `train.compute.memory_gib: auto` plans with."""
GIB = 2**30


@dataclass(frozen=True)
class PackPlan:
    """`gib` is the planned memory of the whole run."""

    choice: PackChoice
    gib: float
    notes: tuple[str, ...] = ()


def plan_packs(
    config: RunConfig, model: Any, device: torch.device, besides: Mapping[str, int] | None = None
) -> PackPlan:
    """
    Args:
        model: the stock model with its adapters, as it will be trained.
        besides: bytes a token, by what is recomputed, that `models.packed.memory` doesn't count for its layers.

    Raises:
        ConfigError: no pack fits into `train.compute.memory_gib`.
    """
    settings, text_config = config.train, model.config.text_config
    static = static_bytes(model, optimizer=settings.optimizer.name)
    trained = sum(weight.numel() * weight.element_size() for weight in model.parameters() if weight.requires_grad)
    static += sum(reserved_bytes(config, model.config, trained, on_gpu=device.type == "cuda").values())
    itemsize = max(next(model.model.language_model.parameters()).itemsize, 2)
    options = pack_options(settings.compute, on_gpu=device.type == "cuda", itemsize=itemsize)
    if device.type == "cuda":
        besides = with_answers(config, text_config, besides or {}, itemsize)
    options = replace(options, vision=vision_bytes_per_token(model), besides=besides or {}, on_cpu=device.type == "cpu")
    memory = _memory(settings.compute, device)
    chosen = choose_pack(text_config, memory * GIB - static, options)
    if chosen:
        return PackPlan(chosen, round((static + chosen.nbytes) / GIB, 2))
    least = smallest_pack(text_config, options)
    needed = (static + least.nbytes) / GIB
    if settings.compute.memory_gib == "auto":
        note = f"the smallest packs need about {needed:.1f} GiB, {memory:.1f} are available: the run may not fit"
        return PackPlan(least, round(needed, 2), (note,))
    raise ConfigError(
        f"train.compute.memory_gib: {settings.compute.memory_gib:g} is too little, this run needs at least "
        f"{needed:.3g} GiB ({static / GIB:.3g} for weights, adapters, optimizer); raise it, or {_saving(config)}"
    )


def with_answers(config: RunConfig, text_config: Any, besides: Mapping[str, int], itemsize: int = 2) -> dict[str, int]:
    """Bytes a token by what is recomputed: `besides` and what the answers of an objective add, which are short segments
    that share a prompt."""
    shares = isinstance(config.train.objective, (GrpoObjective, *PREFERENCES))
    more = {mode: more_for_answers(text_config, mode, itemsize) if shares else 0 for mode in RECOMPUTE}
    return {mode: besides.get(mode, 0) + more[mode] for mode in RECOMPUTE}


def pack_options(settings: ComputeSettings, *, on_gpu: bool, itemsize: int = 2) -> PackOptions:
    """The choices of `choose_pack`."""
    sizes = PACK_TOKENS if on_gpu else CPU_PACK_TOKENS
    recompute = RECOMPUTE if settings.recompute == "auto" else (settings.recompute,)
    return PackOptions(
        sizes if settings.pack_tokens == "auto" else (settings.pack_tokens,),
        ("full",) if settings.gradient_checkpointing else recompute,
        itemsize,
    )


def _saving(config: RunConfig) -> str:
    """What would take less memory."""
    compute = config.train.compute
    if compute.pack_tokens != "auto" or compute.recompute not in ("auto", "full"):
        return "leave train.compute.pack_tokens and train.compute.recompute to auto"
    return "set base.quantize: nf4" if config.base.quantize in ("none", "fp8") else "lower adapter.rank"


def _memory(settings: ComputeSettings, device: torch.device) -> float:
    """GiB that training may take."""
    if settings.memory_gib != "auto":
        return float(settings.memory_gib)
    if device.type != "cuda":
        return math.inf
    return torch.cuda.get_device_properties(device).total_memory / GIB * USABLE
