"""Whether a run fits a GPU, how long it takes, and which settings make it fit."""

import json
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from texlens.adapters.build import build_adapter, build_plan
from texlens.config.run import RunConfig
from texlens.core.errors import ConfigError
from texlens.models.families import family_of
from texlens.models.meta_model import build_config, meta_model
from texlens.models.packed.memory import dora_bytes_per_token
from texlens.planner.duration import StepTime, time_step
from texlens.planner.fit import Change, fit, with_changes
from texlens.planner.gpus import Gpu
from texlens.planner.memory import GIB, MemoryPlan, optimizer_bytes, plan_memory
from texlens.planner.objectives.costs import answer_sizes, objective_notes, reserved_bytes
from texlens.planner.packed import besides_of, plan_pack, plan_packed_memory, time_packed
from texlens.planner.reading_time import ReadingTime
from texlens.planner.rows import ASSUMED, Batches, RowSize, batches_of
from texlens.planner.several_gpus.sharing import Sharing, share_weights
from texlens.planner.simulated_ops import KEPT_IN_16_BIT, quantize, quantize_vision
from texlens.planner.simulated_step import TEXT, TRAINED, WEIGHTS, Batch, SimulatedStep, simulate_step


@dataclass(frozen=True)
class GpuPlan:
    """`seconds_per_epoch` is None if the number of rows is unknown; `change` makes the run fit, or is None;
    `evaluation` is the reading of the test rows, where it is known."""

    gpu: Gpu
    backend: str
    memory: MemoryPlan
    time: StepTime
    batches: Batches
    rows: int | None
    seconds_per_epoch: float | None
    change: Change | None
    notes: tuple[str, ...]
    gpus: int = 1
    evaluation: ReadingTime | None = None
    sharing: "Sharing | None" = None

    @property
    def fits(self) -> bool:
        return self.memory.total <= self.gpu.memory_gib

    @property
    def rows_per_second(self) -> float:
        return self.gpus * self.batches.typical.rows / self.time.seconds

    def to_json(self) -> dict:
        return {
            "gpu": {"name": self.gpu.name, "title": self.gpu.title, "memory_gib": self.gpu.memory_gib},
            "backend": self.backend,
            "gpus": self.gpus,
            "sharing": self.sharing.to_json() if self.sharing else None,
            "fits": self.fits,
            "memory": self.memory.to_json(),
            "batch": {"rows": self.batches.worst.rows, "tokens": self.batches.worst.tokens},
            "flops_per_row": round(self.time.flops / self.batches.typical.rows),
            "rows_per_s": round(self.rows_per_second, 2),
            "bound_by": self.time.bound,
            "evaluation": self.evaluation.to_json() if self.evaluation else None,
            "seconds_per_epoch": round(self.seconds_per_epoch) if self.seconds_per_epoch else None,
            "change": self.change,
            "notes": list(self.notes),
        }


def plan_on_gpu(config: RunConfig, model_config: dict, sizes: Sequence[RowSize], gpu: Gpu, gpus: int = 1) -> GpuPlan:
    """The plan of one GPU, or of each of several that share the rows of a step.

    Args:
        sizes: of the train rows; without any, formulas of the usual size are assumed.

    Raises:
        ConfigError: settings that could not be trained.
    """
    if config.base.quantize == "fp8" and not gpu.fp8:
        raise ConfigError(f"base.quantize: fp8: {gpu.title} has no FP8 units; set base.quantize: none, or nf4")
    notes = []
    if gpus > 1:
        config = share_of(config, gpus)
        notes.append(
            f"{gpus} GPUs: each takes its share of a step; their rates are added up (docs/how-to/multi-gpu.md)"
        )
    rows = len(sizes) or None
    if not sizes:
        sizes = [ASSUMED] * (config.train.batch_size * config.train.gradient_accumulation)
        notes.append(f"no rows here: {ASSUMED.tokens} tokens each are assumed, {ASSUMED.image} of them the image's")
    if config.base.quantize == "fp8":
        notes.append(_fp8_note(model_config))
    if not gpu.bf16:
        notes.append(f"{gpu.title} has no bfloat16 units: training works, but is several times slower than with them")
    sizes = answer_sizes(config, sizes)
    notes += objective_notes(config)
    figures = _figures(config, model_config, sizes, gpu, gpus)
    notes += [figures.note] if figures.note else []
    change = {} if figures.memory.total <= gpu.memory_gib else _change(config, figures, model_config, sizes, gpu, gpus)
    seconds = figures.time.seconds * rows / figures.batches.typical.rows / gpus if rows else None
    return GpuPlan(
        gpu,
        figures.backend,
        figures.memory,
        figures.time,
        figures.batches,
        rows,
        seconds,
        change,
        tuple(notes),
        gpus,
        sharing=figures.sharing,
    )


def _fp8_note(model_config: dict) -> str:
    if family_of(model_config).expert_parameters:
        return "fp8 experts take one byte a number, other fp8 weights two; the time is estimated for 16 bits"
    return "fp8 weights take two bytes a number, as in 16 bits; the time is estimated for 16 bits"


def share_of(config: RunConfig, gpus: int) -> RunConfig:
    """The settings of one of several GPUs: its rows of a step."""
    step = config.train.batch_size * config.train.gradient_accumulation
    rows = -(-step // gpus)
    batch_size = min(config.train.batch_size, rows)
    change: Change = {"train.batch_size": batch_size, "train.gradient_accumulation": -(-rows // batch_size)}
    return with_changes(config, change) or config


def _change(config: RunConfig, first: "_Figures", model_config: dict, sizes, gpu: Gpu, gpus: int) -> Change | None:
    """The change that makes the run fit. Where weights and optimizer alone are too large, settings that change neither
    are not simulated."""

    def static_settings(other: RunConfig) -> tuple[str, str]:
        return other.base.quantize, other.train.optimizer.name

    static_gib = {static_settings(config): first.memory.static}

    def fits(other: RunConfig) -> bool:
        if static_gib.get(static_settings(other), 0.0) > gpu.memory_gib:
            return False
        memory = _figures(other, model_config, sizes, gpu, gpus).memory
        static_gib[static_settings(other)] = memory.static
        return memory.total <= gpu.memory_gib

    return fit(config, fits)


@dataclass(frozen=True)
class _Figures:
    backend: str
    memory: MemoryPlan
    time: StepTime
    batches: Batches
    note: str | None = None
    sharing: Sharing | None = None


def _figures(config: RunConfig, model_config: dict, sizes: Sequence[RowSize], gpu: Gpu, gpus: int = 1) -> _Figures:
    """Memory of the worst batch and time of the typical one, on the backend that would run."""
    built = build_config(model_config)
    if backend_of(config, built.text_config, gpu) == "packed":
        return _packed_figures(config, model_config, built.text_config, sizes, gpu, gpus)
    batches = batches_of(sizes, config.train.batch_size, config.train.seed)
    step, trained = simulate(config, model_config, batches.worst)
    memory = plan_memory(step, trained, config.train.optimizer.name)
    typical = step if batches.typical == batches.worst else simulate(config, model_config, batches.typical)[0]
    return _Figures("plain", memory, time_step(typical.work, gpu), batches)


def backend_of(config: RunConfig, text_config, gpu: Gpu) -> str:
    """The backend that runs on this GPU: packed, unless it is turned off or does not support the model or the GPU."""
    stock = config.train.compute.backend == "plain" or config.model.attention not in ("auto", "sdpa") or not gpu.bf16
    return "plain" if stock or getattr(text_config, "use_sliding_window", False) else "packed"


def _packed_figures(config: RunConfig, model_config: dict, text_config, sizes, gpu: Gpu, gpus: int) -> _Figures:
    train = config.train
    batches = batches_of(sizes, train.batch_size * train.gradient_accumulation, train.seed)
    sample = batches_of(sizes, min(4, len(sizes)), train.seed).typical
    step, trained = simulate(config, model_config, sample, checkpointing=False)
    optimizer = optimizer_bytes(trained, train.optimizer.name)
    static = step.parts.get(WEIGHTS, 0) + step.parts.get(TRAINED, 0) + step.gradients + optimizer
    reserved = reserved_bytes(config, build_config(model_config), step.gradients, on_gpu=True)
    static += sum(reserved.values())
    shared = None
    if gpus > 1:
        beside = static - step.parts.get(WEIGHTS, 0)
        shared = share_weights(config, model_config, text_config, beside, step.gradients // 4, gpu, gpus)
        static -= shared.saved
    per_token = step.parts.get(TEXT, 0) / sample.tokens
    besides = besides_of(config, text_config, per_token, _dora_bytes(config, model_config))
    pack = plan_pack(config, text_config, static, step.gradients // 4, batches.lengths, gpu, besides)
    activations = step
    if pack.recompute == "full":
        activations, _ = simulate(config, model_config, sample, checkpointing=True)
    memory = plan_packed_memory(activations, sample, optimizer, pack, text_config, besides)
    memory = replace(memory, parts={**memory.parts, **{name: size / GIB for name, size in reserved.items()}})
    time = time_packed(step, batches.typical, sample, pack, text_config, gpu)
    sharing = None
    if shared is not None:
        memory = shared.applied_to(memory)
        sharing = shared.of_step(batches.typical.real_tokens, pack.tokens, pack.recompute)
        time = replace(time, communication=sharing.communication.added(time.device))
    note = f"packs of {pack.tokens:,} tokens, recompute {pack.recompute}"
    limit = train.compute.memory_gib
    if limit != "auto" and memory.allocated > limit:
        note += f"; they need more than train.compute.memory_gib: {limit:g}, so the run is refused"
    return _Figures("packed", memory, time, batches, note, sharing)


def _dora_bytes(config: RunConfig, model_config: dict) -> dict[str, int]:
    """See `dora_bytes_per_token`."""
    if not getattr(config.adapter, "dora", False):
        return {}
    base, plan = meta_model(model_config).bfloat16(), build_plan(config.adapter, family_of(model_config), model_config)
    build_adapter(base, plan, config.adapter, seed=config.train.seed, base_path=config.model.path)
    return dora_bytes_per_token(base)


MOST_SIMULATED = 16
_SIMULATED: dict[tuple, tuple[SimulatedStep, list[torch.nn.Parameter]]] = {}
"""The last simulations, by all that they depend on."""
_SIMULATING = threading.Lock()
"""Several pages of the workbench may plan at once."""


def simulate(
    config: RunConfig, model_config: dict, batch: Batch, *, checkpointing: bool | None = None
) -> tuple[SimulatedStep, list[torch.nn.Parameter]]:
    """The plain backend's step with these settings, and the parameters of the optimizer.

    Changes of settings that `fit` tries mostly leave the simulation as it is, so the last ones are kept.

    Args:
        checkpointing: default: as the settings have it.
    """
    if checkpointing is None:
        checkpointing = config.train.compute.gradient_checkpointing
    accumulates = config.train.gradient_accumulation > 1
    parts = config.adapter.model_dump_json(), config.base.model_dump_json(), json.dumps(model_config, sort_keys=True)
    key = *parts, batch, checkpointing, accumulates
    with _SIMULATING:
        if key not in _SIMULATED:
            while len(_SIMULATED) >= MOST_SIMULATED:
                _SIMULATED.pop(next(iter(_SIMULATED)))
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", category=FutureWarning)  # transformers warns about its own names
                _SIMULATED[key] = _simulate(config, model_config, batch, checkpointing, accumulates)
        return _SIMULATED[key]


def _simulate(config: RunConfig, model_config: dict, batch: Batch, checkpointing: bool, accumulates: bool):
    family = family_of(model_config)
    base = meta_model(model_config).bfloat16()
    if config.base.quantize != "none":
        quantize(base, config.base.quantize, KEPT_IN_16_BIT, double=config.base.double_quantize)
    if config.base.quantize == "fp8" and config.base.quantize_vision:
        quantize_vision(base)
    plan = build_plan(config.adapter, family, model_config)
    model = build_adapter(base, plan, config.adapter, seed=config.train.seed, base_path=config.model.path)
    step = simulate_step(
        model,
        base,
        family,
        batch,
        checkpointing=checkpointing,
        accumulation=2 if accumulates else 1,
    )
    return step, [parameter for parameter in model.parameters() if parameter.requires_grad]
