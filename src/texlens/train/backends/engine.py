"""How a training step is computed: `packed`, without padding and in few passes, or `plain`, as transformers does it.

Both take the same rows step by step and give the same losses and gradients, up to rounding.
"""

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn

from texlens.config.run import RunConfig
from texlens.config.train import TrainSettings
from texlens.core.errors import ConfigError
from texlens.inputs.dataset import ExampleDataset
from texlens.inputs.example import Example, Patchify
from texlens.inputs.image_patches import image_to_patches, image_to_raw_patches
from texlens.inputs.packed_collator import PackCollator, ShardedCollator, ShardedDataset
from texlens.inputs.padded_collator import Collator
from texlens.kernels.backends import use_triton
from texlens.kernels.loss.label_loss import summed_loss
from texlens.models.packed.forward import PackedForward, pack_spec, packed_forward, packing_unsupported_reason
from texlens.models.processor import Processor
from texlens.planner.pack_budget import plan_packs
from texlens.train.backends.compile_check import tried
from texlens.train.distributed.context import ALONE, Processes

DIVIDERS = ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED")
"""What `accelerate launch` sets where it divides a model."""


@dataclass(frozen=True)
class Engine:
    """What differs between the engines.

    `rows` x `passes` are the rows of an optimizer step: rows a batch of the loader, batches a step. `forward` is None
    in the plain engine. `notes` are for the run's summary. `workers` processes make the batches. `budget` is of a
    pack, in tokens, the same for all processes that share a step.
    """

    name: str
    rows: int
    passes: int
    cut: Patchify
    forward: PackedForward | None = None
    facts: dict = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    collator: Callable[[Example], Callable] = field(repr=False, default=lambda dummy_example: dummy_example)
    workers: int = 0
    budget: int = 0

    def dealt(
        self, examples: ExampleDataset, collate: Any, processes: Processes
    ) -> tuple[ExampleDataset | ShardedDataset, Callable]:
        """The rows and the collator of this process among several; `collate` is what one alone has."""
        if self.forward is None or not processes.several:
            return examples, collate
        return ShardedDataset(examples, self.budget, processes.rank, processes.count), ShardedCollator(collate.layout)

    def measure(self, model: nn.Module, batch: dict) -> tuple[Tensor, Tensor]:
        """Summed loss in nats and label count of a batch, without gradients."""
        if self.forward is None:
            return summed_loss(model, batch)
        with torch.no_grad():
            total = torch.stack([self.forward.loss(pack) for pack in batch["packs"]]).sum()
        return total, torch.full((), batch["label_count"], device=total.device)


def build_engine(config: RunConfig, adapted: nn.Module, processor: Processor, processes: Processes = ALONE) -> Engine:
    """The engine that `train.engine` asks for, or the fastest that this model can run.

    Raises:
        ConfigError: packed is asked for and can't be.
    """
    settings = config.train
    plain = Engine(
        "plain",
        settings.batch_size,
        settings.accumulation,
        image_to_patches,
        collator=lambda dummy_example: Collator(
            processor.pad_token_id, processor.image_token_id, dummy_example=dummy_example
        ),
    )
    if settings.engine == "plain":
        return plain
    model: Any = adapted.base_model.model if isinstance(adapted, PeftModel) else adapted
    reason = _why_not(config, adapted, model)
    if reason and settings.engine == "packed":
        raise ConfigError(f"train.engine: packed can't be used here: {reason}; use auto or plain")
    if reason:
        return replace(plain, notes=(f"engine plain, which is slower, since {reason}",))
    return _packed(config, model, processor, processes)


def _why_not(config: RunConfig, adapted: nn.Module, model: nn.Module) -> str | None:
    if any(os.environ.get(name, "").lower() in ("1", "true") for name in DIVIDERS):
        return "the weights are divided among GPUs (FSDP or DeepSpeed), and packs need them whole"
    if config.model.attention not in ("auto", "sdpa"):
        return f"model.attention is {config.model.attention}, and packs have an attention of their own"
    return packing_unsupported_reason(model)


def _packed(config: RunConfig, model: nn.Module, processor: Processor, processes: Processes) -> Engine:
    settings = config.train
    device = next(model.parameters()).device
    on_gpu = device.type == "cuda"
    packs = plan_packs(config, model, device)
    pack = packs.choice
    build = partial(packed_forward, model, processor.geometry, recompute=pack.recompute, loss_chunk=pack.loss_chunk)
    use_triton(True)
    forward, why = _compiled(build, model, processor) if _wants_compiled(settings, on_gpu) else (None, None)
    if why and settings.compile == "on":
        raise ConfigError(f"train.compile: on can't be done here: {why}; use auto or off")
    compiled = forward is not None
    use_triton(compiled or not on_gpu)
    exact = next(model.parameters()).dtype in (torch.float32, torch.float64)
    forward = forward or build(backend="cpu" if exact and not on_gpu else "reference")
    layout = pack_spec(model.config, processor, padded=compiled)
    budget = min(processes.gather(pack.tokens))
    notes = packs.notes + _notes(forward) + ((f"not compiled, which is slower, since {why}",) if why else ())
    return Engine(
        "packed",
        settings.batch_size * settings.accumulation,
        1,
        image_to_raw_patches,
        forward,
        {
            "pack_tokens": budget,
            "recompute": pack.recompute,
            "loss_chunk": pack.loss_chunk,
            "planned_gib": packs.gib,
            "compiled": compiled,
            "fused_layers": forward.fused_layers,
        },
        notes,
        collator=lambda dummy_example: PackCollator(layout, budget, dummy_example),
        budget=budget,
    )


def _wants_compiled(settings: TrainSettings, on_gpu: bool) -> bool:
    return on_gpu if settings.compile == "auto" else settings.compile == "on"


def _compiled(
    build: Callable[..., PackedForward], model: nn.Module, processor: Processor
) -> tuple[PackedForward | None, str | None]:
    """The forward pass with kernels of our own and compiled blocks, or None and why there is none."""
    if not importlib.util.find_spec("triton"):
        return None, "Triton is not installed; pip install triton"
    layout = pack_spec(model.config, processor, padded=True)
    return tried(lambda: build(backend="triton"), model, processor.geometry, layout)


def _notes(forward: PackedForward) -> tuple[str, ...]:
    unfused = forward.text.unfused
    if not unfused:
        return ()
    reasons = ", ".join(sorted(set(unfused.values())))
    return (f"{len(unfused)} of {len(forward.text.layers)} layers run module by module: {reasons}",)
