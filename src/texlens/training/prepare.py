"""Everything that is known and checked before any weight is loaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console

from texlens.adapters.build import build_plan
from texlens.adapters.checks import check_modules_to_save, check_quantized_vision
from texlens.adapters.plan import AdapterPlan
from texlens.config.run import RunConfig
from texlens.core.errors import ConfigError, DataError, RunError
from texlens.inputs.build import Splits, build_splits, read_split
from texlens.models.build import BaseCheckpoint, build_base, check_base
from texlens.models.checkpoint import read_config
from texlens.models.device import choose_device
from texlens.models.metadata import run_preparation
from texlens.rewards.own import OwnReward
from texlens.training.arguments import check_train_settings, warmup_note
from texlens.training.backends.sharded_by_accelerate import check_launcher
from texlens.training.distributed.context import SINGLE_PROCESS, DistributedContext
from texlens.training.objectives.build import check_objective, check_objective_rows
from texlens.training.validation import check_scores


@dataclass(frozen=True)
class Prepared:
    base: BaseCheckpoint
    splits: Splits
    plan: AdapterPlan


def prepare(
    config: RunConfig,
    console: Console,
    *,
    with_test: bool = False,
    context: DistributedContext = SINGLE_PROCESS,
    shared: Prepared | None = None,
    own_rewards: Sequence[OwnReward] = (),
) -> Prepared:
    """Finds the checkpoint, reads and checks the rows, plans the adapter.

    Args:
        with_test: the test rows are read after training, so an empty test split is refused now.
        shared: of a run with the same model and data settings, whose base and rows are taken as they are.
        own_rewards: of this call's command line.

    Raises:
        ConfigError, ModelError, DataError: whatever would stop the run, before it costs anything.
    """
    check_launcher()
    check_scores(config)
    check_objective(config, own_rewards, context.world_size)
    check_train_settings(config.train, torch.cuda.is_available(), has_validation=bool(config.data.splits.validation))
    context.check_device(choose_device(config.model.device))
    check_float16(config)
    _download(config, context)
    base = shared.base if shared else build_base(config.model)
    check_base(base.processor.family, config.model, config.base)
    model_config = read_config(base.folder)
    plan = build_plan(config.adapter, base.processor.family, model_config)
    check_modules_to_save(plan, config.base.quantize, model_config)
    check_quantized_vision(plan, config.base)
    if with_test and config.data.splits.test and not read_split(config.data, "test", limit=1).total:
        raise DataError(f"data.splits.test: no row in {config.data.splits.test}; name another split, or null for none")
    tokenizer, geometry = base.processor.tokenizer, base.processor.geometry
    preparation = run_preparation(config.model, base.folder)
    splits = (
        shared.splits
        if shared
        else build_splits(config.data, tokenizer, geometry, console=console, preparation=preparation)
    )
    check_objective_rows(config, splits.train, splits.validation)
    check_same_inputs(context.all_gather(_inputs(base, splits)))
    for note in warmup_note(config.train, len(splits.train)):
        console.print(f"note: {note}", style="yellow", markup=False)
    return Prepared(base, splits, plan)


def check_float16(config: RunConfig) -> None:
    """
    Raises:
        ConfigError: float16 can't be trained here: its gradients underflow without a scaler, which needs a GPU and
            trained weights in float32.
    """
    if config.model.dtype != "float16":
        return
    if choose_device(config.model.device).type != "cuda":
        raise ConfigError("model.dtype: float16 trains with a gradient scaler, which needs a GPU; use float32")
    if config.adapter.kind == "full":
        raise ConfigError("model.dtype: float16 can't be trained in full; use float32, or adapter.kind: lora")


def _download(config: RunConfig, context: DistributedContext) -> None:
    """One process of each machine downloads what comes from a hub, before the others look for it."""
    if context.is_distributed and context.local_rank == 0:
        build_base(config.model)
        read_split(config.data, "train")
    context.barrier()


def _inputs(base: BaseCheckpoint, splits: Splits) -> dict[str, Any]:
    """What must be the same in all processes."""
    rows = {f"{role} rows": (len(check.usable), check.image_tokens) for role, check in splits.checks.items()}
    return {"weights": base.fingerprint, **rows}


def check_same_inputs(inputs: Sequence[Mapping[str, Any]]) -> None:
    """
    Args:
        inputs: of each process, by name.

    Raises:
        RunError: processes would train on different weights or rows, so that rows are lost or taken twice.
    """
    for rank, other in enumerate(inputs):
        for name, value in inputs[0].items():
            if other.get(name) != value:
                raise RunError(
                    f"process {rank} finds other {name} ({other.get(name)}) than process 0 ({value}); "
                    "give all machines the same checkpoint and data"
                )
