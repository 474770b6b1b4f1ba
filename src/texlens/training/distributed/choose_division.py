"""How the processes of a training divide its weights: as `train.parallel` says, else the fastest way that fits."""

from pathlib import Path

from texlens.adapters.plan import AdapterPlan
from texlens.config.run import RunConfig
from texlens.models.checkpoint import read_config
from texlens.models.meta_model import build_config
from texlens.models.packed.memory import WORKSPACE
from texlens.models.sharding.division import WHOLE, Division
from texlens.planner.gpus import local_gpu
from texlens.planner.several_gpus.division import check_parallel, divisions
from texlens.planner.several_gpus.sharing import share_weights
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
    chosen = context.broadcast(lambda: _chosen(config, model_config, plan, context.world_size))
    return Division(chosen.weights, chosen.experts, context.rank, context.world_size)


def division_note(config: RunConfig, context: DistributedContext) -> list[str]:
    """A remark where one process was asked to divide weights, and has them all."""
    settings = config.train.parallel
    if context.is_distributed or "shard" not in (settings.weights, settings.experts):
        return []
    return ["train.parallel: one process has all weights; divide them with --processes or torchrun"]


def _chosen(config: RunConfig, model_config: dict, plan: AdapterPlan, processes: int) -> Division:
    gpu = local_gpu()
    if gpu is None:
        return next(divisions(config, model_config, processes))
    moments = 2 if config.train.optimizer.name == "adamw-8bit" else 8
    beside = plan.trainable * (4 + 4 + moments) + WORKSPACE
    text_config = build_config(model_config).text_config
    return share_weights(config, model_config, text_config, beside, plan.trainable, gpu, processes).division
