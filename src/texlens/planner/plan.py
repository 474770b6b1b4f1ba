"""Will a run fit a card, how long will it take, and what would make it fit: settings and sizes in, figures out."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from texlens.adapters.build import build_adapter, build_plan
from texlens.config.run import RunConfig
from texlens.core.errors import ConfigError
from texlens.models.families import family_of
from texlens.models.meta_model import build_config, meta_model
from texlens.planner.duration import StepTime, time_step
from texlens.planner.fit import Change, fit
from texlens.planner.gpus import Gpu
from texlens.planner.memory import MemoryPlan, optimizer_bytes, plan_memory
from texlens.planner.packed import pack_of, plan_packed_memory, time_packed
from texlens.planner.rows import ASSUMED, Batches, RowSize, batches_of
from texlens.planner.simulated_ops import quantize, quantize_tower
from texlens.planner.simulated_step import TRAINED, WEIGHTS, Batch, Step, simulate_step

KEPT_IN_16_BIT = ("lm_head", "visual")
"""What `base.quantize` leaves alone."""


@dataclass(frozen=True)
class GpuPlan:
    """`seconds_per_epoch` is None where the number of rows is not known. `change` makes it fit, None if nothing."""

    gpu: Gpu
    engine: str
    memory: MemoryPlan
    time: StepTime
    batches: Batches
    rows: int | None
    seconds_per_epoch: float | None
    change: Change | None
    notes: tuple[str, ...]

    @property
    def fits(self) -> bool:
        return self.memory.total <= self.gpu.memory_gib

    @property
    def rows_per_second(self) -> float:
        return self.batches.typical.rows / self.time.seconds

    def to_json(self) -> dict:
        return {
            "gpu": {"name": self.gpu.name, "title": self.gpu.title, "memory_gib": self.gpu.memory_gib},
            "engine": self.engine,
            "fits": self.fits,
            "memory": self.memory.to_json(),
            "batch": {"rows": self.batches.worst.rows, "tokens": self.batches.worst.tokens},
            "flops_per_row": round(self.time.flops / self.batches.typical.rows),
            "rows_per_s": round(self.rows_per_second, 2),
            "bound_by": self.time.bound,
            "seconds_per_epoch": round(self.seconds_per_epoch) if self.seconds_per_epoch else None,
            "change": self.change,
            "notes": list(self.notes),
        }


def plan_on_gpu(config: RunConfig, model_config: dict, sizes: Sequence[RowSize], gpu: Gpu) -> GpuPlan:
    """
    Args:
        sizes: of the train rows; without any, formulas of the usual size are assumed.

    Raises:
        ConfigError: settings that could not be trained.
    """
    if config.base.quantize == "fp8" and not gpu.fp8:
        raise ConfigError(f"base.quantize: fp8: {gpu.title} has no 8-bit products; set base.quantize: none, or nf4")
    notes = []
    rows = len(sizes) or None
    if not sizes:
        sizes = [ASSUMED] * (config.train.batch_size * config.train.accumulation)
        notes.append(f"no rows here: {ASSUMED.tokens} tokens each are assumed, {ASSUMED.image} of them the image's")
    if config.base.quantize == "fp8":
        notes.append("fp8 weights take two bytes a number, as in 16 bits; the time is reckoned for 16 bits")
    if not gpu.bf16:
        notes.append(f"{gpu.title} has no bfloat16 units: training works, and is several times slower than it could be")
    figures = _figures(config, model_config, sizes, gpu)
    notes += [figures.note] if figures.note else []
    change = {} if figures.memory.total <= gpu.memory_gib else _change(config, figures, model_config, sizes, gpu)
    seconds = figures.time.seconds * rows / figures.batches.typical.rows if rows else None
    return GpuPlan(
        gpu, figures.engine, figures.memory, figures.time, figures.batches, rows, seconds, change, tuple(notes)
    )


def _change(config: RunConfig, first: "_Figures", model_config: dict, sizes, gpu: Gpu) -> Change | None:
    """What makes the run fit. Settings that change neither weights nor optimizer are not simulated where these alone
    are too large."""

    def held_by(other: RunConfig) -> tuple[str, str]:
        return other.base.quantize, other.train.optimizer.name

    floors = {held_by(config): first.memory.held}

    def fits(other: RunConfig) -> bool:
        if floors.get(held_by(other), 0.0) > gpu.memory_gib:
            return False
        memory = _figures(other, model_config, sizes, gpu).memory
        floors[held_by(other)] = memory.held
        return memory.total <= gpu.memory_gib

    return fit(config, fits)


@dataclass(frozen=True)
class _Figures:
    engine: str
    memory: MemoryPlan
    time: StepTime
    batches: Batches
    note: str | None = None


def _figures(config: RunConfig, model_config: dict, sizes: Sequence[RowSize], gpu: Gpu) -> _Figures:
    """Memory of the worst batch and time of the typical one, in the engine that would run."""
    built = build_config(model_config)
    if engine_of(config, built.text_config, gpu) == "packed":
        return _packed_figures(config, model_config, built.text_config, sizes, gpu)
    batches = batches_of(sizes, config.train.batch_size, config.train.seed)
    step, trained = simulate(config, model_config, batches.worst)
    memory = plan_memory(step, trained, config.train.optimizer.name)
    typical = step if batches.typical == batches.worst else simulate(config, model_config, batches.typical)[0]
    return _Figures("plain", memory, time_step(typical.work, gpu), batches)


def engine_of(config: RunConfig, text_config, gpu: Gpu) -> str:
    """The engine that runs on this card: packed, unless it is turned off or can't take the model or the card."""
    stock = config.train.engine == "plain" or config.model.attention not in ("auto", "sdpa") or not gpu.bf16
    return "plain" if stock or getattr(text_config, "use_sliding_window", False) else "packed"


def _packed_figures(config: RunConfig, model_config: dict, text_config, sizes, gpu: Gpu) -> _Figures:
    train = config.train
    batches = batches_of(sizes, train.batch_size * train.accumulation, train.seed)
    sample = batches_of(sizes, min(4, len(sizes)), train.seed).typical
    step, trained = simulate(config, model_config, sample, checkpointing=False)
    optimizer = optimizer_bytes(trained, train.optimizer.name)
    held = step.parts.get(WEIGHTS, 0) + step.parts.get(TRAINED, 0) + step.gradients + optimizer
    longest = max(size.tokens for size in sizes)
    pack = pack_of(config, text_config, held, step.gradients // 4, batches.worst.real_tokens, longest, gpu)
    kept = step
    if pack.recompute == "full":
        kept, _ = simulate(config, model_config, sample, checkpointing=True)
    memory = plan_packed_memory(kept, sample, optimizer, pack, text_config)
    time = time_packed(step, batches.typical, sample, pack, text_config, gpu)
    note = f"packs of {pack.tokens:,} tokens, recompute {pack.recompute}"
    if train.memory_gib != "auto" and memory.allocated > train.memory_gib:
        note += f"; they take more than train.memory_gib: {train.memory_gib:g}, with which the run is refused"
    return _Figures("packed", memory, time, batches, note)


def simulate(
    config: RunConfig, model_config: dict, batch: Batch, *, checkpointing: bool | None = None
) -> tuple[Step, list[torch.nn.Parameter]]:
    """The plain engine's step with these settings, and the parameters that the optimizer has.

    Args:
        checkpointing: default: as the settings have it.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning)  # transformers warns itself of its own names
        return _simulate(config, model_config, batch, checkpointing)


def _simulate(config: RunConfig, model_config: dict, batch: Batch, checkpointing: bool | None):
    family = family_of(model_config)
    base = meta_model(model_config).bfloat16()
    if config.base.quantize != "none":
        quantize(base, config.base.quantize, KEPT_IN_16_BIT)
    if config.base.quantize == "fp8" and config.base.quantize_vision:
        quantize_tower(base)
    plan = build_plan(config.adapter, family, model_config)
    model = build_adapter(base, plan, config.adapter, seed=config.train.seed, base_path=config.model.path)
    step = simulate_step(
        model,
        base,
        family,
        batch,
        checkpointing=config.train.gradient_checkpointing if checkpointing is None else checkpointing,
        accumulation=config.train.accumulation,
    )
    return step, [parameter for parameter in model.parameters() if parameter.requires_grad]
