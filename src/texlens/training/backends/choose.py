"""Chooses the backend that `train.compute.backend` asks for, or the fastest that this model can run."""

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from peft import PeftModel
from torch import nn

from texlens.config.run import RunConfig
from texlens.config.train import ComputeSettings
from texlens.core.errors import ConfigError
from texlens.inputs.pack import PackBucket
from texlens.kernels.backends import use_triton
from texlens.models.packed.forward import PackedForward, pack_spec, packed_forward, packing_unsupported_reason
from texlens.models.processor import Processor
from texlens.models.sharding.divided_model import DividedModel, divide_model
from texlens.models.sharding.division import WHOLE, Division
from texlens.models.sharding.stock_passes import stock_passes
from texlens.models.weight_rows.rows import WeightRows, no_rows
from texlens.planner.pack_budget import plan_packs
from texlens.training.backends.compile_check import compile_check, small_pack
from texlens.training.backends.pack_graphs import PackGraphs
from texlens.training.backends.packed import PackedBackend
from texlens.training.backends.plain import PlainBackend
from texlens.training.backends.protocol import StepBackend
from texlens.training.backends.sharded_by_accelerate import check_sharded, is_sharded
from texlens.training.backends.smaller_packs import SmallerPacks
from texlens.training.backends.unfused_memory import saved_besides
from texlens.training.distributed.context import SINGLE_PROCESS, DistributedContext


def build_backend(
    config: RunConfig,
    adapted: nn.Module,
    processor: Processor,
    context: DistributedContext = SINGLE_PROCESS,
    *,
    division: Division = WHOLE,
    rows_of: WeightRows = no_rows,
) -> StepBackend:
    """
    Args:
        division: how weights are divided among the processes; `rows_of` has those that are no memory yet.

    Raises:
        ConfigError: packed is required and can't be used, or compilation is required and fails; or weights are to be
            divided, which needs packs; or `accelerate launch` divides them in a way that this run can't have.
    """
    settings = config.train
    check_sharded(settings, next(adapted.parameters()).dtype)
    plain = partial(PlainBackend, processor, settings.batch_size, settings.gradient_accumulation)
    if settings.compute.backend == "plain":
        return plain()
    model: Any = adapted.base_model.model if isinstance(adapted, PeftModel) else adapted
    reason = _unsupported_reason(config, model)
    if reason and settings.compute.backend == "packed":
        raise ConfigError(f"train.compute.backend: packed can't be used here: {reason}; use auto or plain")
    if reason and division.is_divided:
        raise ConfigError(f"train.parallel: weights are divided in packs only, which can't be used here: {reason}")
    if reason:
        return plain(notes=(f"plain backend, which is slower, because {reason}",))
    divided = divide_model(model, division, next(model.parameters()).device, rows_of)
    return _packed(config, model, processor, context, division, divided)


def _unsupported_reason(config: RunConfig, model: nn.Module) -> str | None:
    if is_sharded():
        return "DeepSpeed divides the weights, and packs need them whole"
    if next(model.parameters()).dtype == torch.float16:
        return "model.dtype is float16, and packs need bfloat16 or float32"
    if config.model.attention not in ("auto", "sdpa"):
        return f"model.attention is {config.model.attention}, and packs need their own attention"
    return packing_unsupported_reason(model)


def _packed(
    config: RunConfig,
    model: nn.Module,
    processor: Processor,
    context: DistributedContext,
    division: Division,
    divided: DividedModel,
) -> PackedBackend:
    settings = config.train
    device = next(model.parameters()).device
    plan = plan_packs(config, model, device, None if division.is_divided else saved_besides(model))
    choice = plan.choice
    forms: dict[str, Any] = {"recompute": choice.recompute, "loss_chunk": choice.loss_chunk, "divided": divided}
    build = partial(packed_forward, model, processor.geometry, **forms)
    forward, compiled, failure = _compiled_or_eager(build, settings.compute, model, processor, device)
    max_tokens = min(context.all_gather(choice.tokens))
    not_compiled = (f"not compiled, which is slower, because {failure}",) if failure else ()
    spec = pack_spec(model.config, processor, padded=compiled)
    graphs = None if division.is_divided else _graphs(config, forward, device, compiled, choice.recompute)
    idle = small_pack(processor.geometry, spec, device) if division.is_divided else None
    retry = None if division.is_divided else SmallerPacks(processor.geometry.merge_size**2, clear=partial(_free, model))
    return PackedBackend(
        forward,
        replace(spec, bucket=PackBucket()) if graphs is not None else spec,
        max_tokens,
        settings.batch_size * settings.gradient_accumulation,
        notes=plan.notes + _unfused_note(forward) + not_compiled,
        graphs=graphs,
        retry=retry,
        idle=idle,
        stock_passes=partial(stock_passes, model, divided),
        settings={
            "pack_tokens": max_tokens,
            "recompute": choice.recompute,
            "loss_chunk": choice.loss_chunk,
            "planned_gib": plan.gib,
            **({"parallel": division.to_json()} if context.is_distributed else {}),
            "compiled": compiled,
            "graphs": graphs is not None,
            "fused_layers": forward.fused_layers,
            "fused_vision_blocks": len(forward.vision.blocks) - len(forward.vision.unfused),
        },
    )


def _graphs(
    config: RunConfig, forward: PackedForward, device: torch.device, compiled: bool, recompute: str
) -> PackGraphs | None:
    """CUDA graphs for small packs, where memory is not short and nothing in a pack waits for the host."""
    memory_is_free = recompute != "full" and config.train.compute.memory_gib == "auto"
    all_fused = not forward.text.unfused and not forward.vision.unfused and not forward.text.has_mixers
    possible = device.type == "cuda" and compiled and memory_is_free and all_fused and forward.head_is_plain
    return PackGraphs(forward) if possible else None


def _free(model: nn.Module) -> None:
    """What a step that failed has left."""
    model.zero_grad(set_to_none=True)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _compiled_or_eager(
    build: Callable[..., PackedForward],
    settings: ComputeSettings,
    model: nn.Module,
    processor: Processor,
    device: torch.device,
) -> tuple[PackedForward, bool, str | None]:
    """The forward pass, whether it is compiled, and why it is not where it should be."""
    on_gpu = device.type == "cuda"
    use_triton(True)
    forward, failure = _compiled(build, model, processor) if should_compile(settings, on_gpu) else (None, None)
    if failure and settings.compile == "on":
        raise ConfigError(f"train.compute.compile: on is not possible here: {failure}; use auto or off")
    compiled = forward is not None
    use_triton(compiled or not on_gpu)
    is_exact = next(model.parameters()).dtype in (torch.float32, torch.float64)
    eager_backend = "cpu" if is_exact and not on_gpu else "reference"
    return forward or build(backend=eager_backend), compiled, failure


def should_compile(settings: ComputeSettings, on_gpu: bool) -> bool:
    return on_gpu if settings.compile == "auto" else settings.compile == "on"


def _compiled(
    build: Callable[..., PackedForward], model: nn.Module, processor: Processor
) -> tuple[PackedForward | None, str | None]:
    """The forward pass on Triton kernels and compiled blocks, or None and the reason."""
    if not importlib.util.find_spec("triton"):
        return None, "Triton is not installed; pip install triton"
    layout = pack_spec(model.config, processor, padded=True)
    return compile_check(lambda: build(backend="triton"), model, processor.geometry, layout)


def _unfused_note(forward: PackedForward) -> tuple[str, ...]:
    unfused = forward.text.unfused
    if not unfused:
        return ()
    reasons = ", ".join(sorted(set(unfused.values())))
    return (f"{len(unfused)} of {len(forward.text.layers)} layers run module by module: {reasons}",)
