"""What a run takes beside memory: time on this CPU, and the reading of the test rows after training."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from rich.console import Console

from texlens.config.run import RunConfig
from texlens.core.errors import TexlensError
from texlens.inputs.build import read_split
from texlens.planner.cpu import CpuPlan, plan_on_cpu
from texlens.planner.gpus import Gpu, find_gpu
from texlens.planner.plan import GpuPlan, plan_on_gpu
from texlens.planner.reading_time import ReadingTime, reading_time_on_gpu
from texlens.planner.run_plan import RunPlan, plan_run
from texlens.planner.work import ModelWork
from texlens.workflows.cpu_probe import cpu_rates


@dataclass(frozen=True)
class CostedPlan:
    """A run's plan, and memory and time on a GPU or time on this CPU, whichever was asked for."""

    run: RunPlan
    on_gpu: GpuPlan | None = None
    on_cpu: CpuPlan | None = None

    def to_json(self) -> dict[str, Any]:
        places = {"on_gpu": self.on_gpu, "on_cpu": self.on_cpu}
        return self.run.to_json() | {name: plan.to_json() for name, plan in places.items() if plan}


def plan_with_cost(config: RunConfig, gpu: str | None, gpus: int, console: Console) -> CostedPlan:
    """
    Args:
        gpu: a name such as h200, or `auto`; None plans for this CPU, unless the run would use this machine's GPU.

    Raises:
        ConfigError, ModelError: no such GPU, or settings that could not be trained.
    """
    if gpu is None:
        planned = plan_run(config)
        return CostedPlan(planned, on_cpu=plan_without_gpu(config, planned, console))
    device = find_gpu(gpu)
    planned = plan_run(config)
    on_gpu = plan_on_gpu(config, planned.model_config, planned.sizes, device, gpus)
    return CostedPlan(planned, replace(on_gpu, evaluation=evaluation_on_gpu(config, planned, device)))


def plan_without_gpu(config: RunConfig, planned: RunPlan, console: Console) -> CpuPlan | None:
    """None where the run would use this machine's GPU, or the rows are unknown."""
    if config.model.device != "cpu" and torch.cuda.is_available():
        return None
    return cpu_plan(config, planned, console)


def count_test_rows(config: RunConfig) -> int:
    """Rows that base and adapter read after training; 0 without a test split, or where it can't be read."""
    if config.data.splits.test is None:
        return 0
    try:
        rows = len(read_split(config.data, "test"))
    except TexlensError:
        return 0
    drawn = max(1, int(config.evaluate.fraction * rows)) if rows else 0
    return min(drawn, config.evaluate.max_rows or drawn)


def evaluation_on_gpu(config: RunConfig, planned: RunPlan, gpu: Gpu) -> ReadingTime | None:
    """None where train or test rows are unknown."""
    rows = count_test_rows(config)
    if not rows or not planned.sizes:
        return None
    return reading_time_on_gpu(
        planned.sizes,
        rows,
        ModelWork.of(planned.model_config),
        gpu,
        batch_size=config.evaluate.batch_size,
        quantize=config.base.quantize,
    )


def cpu_plan(config: RunConfig, planned: RunPlan, console: Console) -> CpuPlan | None:
    """Time on this CPU; None where the train rows are unknown."""
    if not planned.sizes:
        return None
    rows_of_step = config.train.batch_size * config.train.gradient_accumulation
    trained = planned.steps * rows_of_step if planned.steps else None
    if config.train.epochs:
        trained = config.train.epochs * len(planned.sizes)
    return plan_on_cpu(
        cpu_rates(console),
        planned.model_config,
        planned.adapter,
        planned.sizes,
        trained_rows=trained,
        test_rows=count_test_rows(config),
        is_measured_model=config.model.path == "nano",
    )
