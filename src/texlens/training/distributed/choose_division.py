"""How the processes of a training divide its weights: as `train.parallel` says, else the fastest way that fits."""

from pathlib import Path

from texlens.adapters.plan import AdapterPlan
from texlens.config.run import RunConfig
from texlens.models.checkpoint import read_config
from texlens.models.meta_model import build_config, meta_model
from texlens.models.packed.memory import WORKSPACE
from texlens.models.sharding.division import WHOLE, Division
from texlens.planner.gpus import Gpu, local_gpu
from texlens.planner.pack_budget import GIB, USABLE, pack_options
from texlens.planner.several_gpus.division import WeightBytes, check_parallel, divisions, fastest_division
from texlens.training.distributed.context import DistributedContext


def choose_division(config: RunConfig, folder: Path, plan: AdapterPlan, context: DistributedContext) -> Division:
    """The same in all processes.

    Args:
        folder: of the base's checkpoint.

    Raises:
        ConfigError: `train.parallel` asks for what this run can't have.
    """
    model_config = read_config(folder)
    check_parallel(config, model_config)
    if not context.is_distributed:
        return WHOLE
    candidates = list(divisions(config, model_config, context.world_size))
    gpu = local_gpu()
    chosen = context.broadcast(
        lambda: candidates[0] if gpu is None else _fastest(config, model_config, plan, candidates, gpu)
    )
    return Division(chosen.weights, chosen.experts, context.rank, context.world_size)


def division_note(config: RunConfig, context: DistributedContext) -> list[str]:
    """A remark where one process was asked to divide weights, and has them all."""
    settings = config.train.parallel
    if context.is_distributed or "shard" not in (settings.weights, settings.experts):
        return []
    return ["train.parallel: one process has all weights; divide them with --processes or torchrun"]


def _fastest(
    config: RunConfig, model_config: dict, plan: AdapterPlan, candidates: list[Division], gpu: Gpu
) -> Division:
    moments = 2 if config.train.optimizer.name == "adamw-8bit" else 8
    beside = plan.trainable * (4 + 4 + moments) + WORKSPACE
    compute = config.train.compute
    memory = gpu.memory_gib * USABLE if compute.memory_gib == "auto" else float(compute.memory_gib)
    weights = WeightBytes.of(meta_model(model_config).bfloat16())
    text_config = build_config(model_config).text_config
    options = pack_options(compute, on_gpu=True)
    return fastest_division(iter(candidates), weights, text_config, beside, memory * GIB, options, gpu).division
