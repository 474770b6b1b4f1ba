"""The backend with the run's objective around it."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from texlens.config.objective import (
    NEEDS_START,
    PREFERENCES,
    DpoObjective,
    GrpoObjective,
    KtoObjective,
    OrpoObjective,
)
from texlens.config.run import RunConfig
from texlens.core.errors import ConfigError
from texlens.core.run_folder import RunFolder
from texlens.data.load import Rows
from texlens.inference.bulk.answer_sampler import AnswerSampler
from texlens.inference.decoding.sampling import Sampling
from texlens.models.processor import Processor
from texlens.planner.objectives.rollouts import rollout_plan
from texlens.rewards.own import OwnReward
from texlens.rewards.registry import check_names
from texlens.rewards.score import RewardScorer, RewardSpec
from texlens.training.backends.packed import PackedBackend
from texlens.training.backends.protocol import StepBackend
from texlens.training.distributed.context import DistributedContext
from texlens.training.objectives.answer_packs import split_answer_pack
from texlens.training.objectives.backend import ObjectiveBackend
from texlens.training.objectives.policy import PolicyObjective, PolicyOptions
from texlens.training.objectives.preference import PreferenceObjective
from texlens.training.objectives.preference_losses import DpoPackLoss, KtoPackLoss, OrpoPackLoss, PreferenceLoss
from texlens.training.objectives.preference_rows import check_preferences
from texlens.training.objectives.rollout_log import ROLLOUTS, RolloutLog
from texlens.training.objectives.rollouts import RolloutMaker
from texlens.training.objectives.start_policy import StartPolicy

MAX_REWARD_WORKERS = 8


def check_objective(config: RunConfig, own_rewards: Sequence[OwnReward] = (), processes: int = 1) -> None:
    """Checks that need no model and no rows.

    Raises:
        ConfigError: an unknown reward; a reward of this call's without an objective that uses it; too few rows a step.
    """
    objective, train = config.train.objective, config.train
    if isinstance(objective, GrpoObjective):
        check_names([*objective.rewards, *objective.watch], "train.objective.rewards")
    elif own_rewards:
        raise ConfigError(f"--reward {own_rewards[0].name}: objective {objective.kind} has no rewards; set it to grpo")
    rows = train.batch_size * train.gradient_accumulation
    if isinstance(objective, KtoObjective) and rows < 2 * processes:
        raise ConfigError(
            f"train.batch_size: {rows} rows a step are too few for kto, which compares with answers of other rows; "
            f"set train.batch_size: {2 * processes} or more"
        )


def check_objective_rows(config: RunConfig, train: Rows, validation: Rows | None) -> None:
    """
    Raises:
        DataError: rows without the columns that the objective needs.
    """
    objective = config.train.objective
    if isinstance(objective, PREFERENCES):
        for rows in (train, validation):
            if rows is not None:
                check_preferences(rows, unpaired=objective.kind == "kto")


def with_objective(
    backend: StepBackend,
    config: RunConfig,
    model: nn.Module,
    processor: Processor,
    rows: Rows,
    folder: RunFolder,
    context: DistributedContext,
    own_rewards: Sequence[OwnReward] = (),
) -> StepBackend:
    """The backend as it is for sft, else one whose steps optimize `train.objective`.

    Args:
        model: with the weights that training starts from.
        rows: of train.

    Raises:
        ConfigError: this model can't be trained in packs; an unknown reward, or code that can't be loaded.
    """
    objective = config.train.objective
    if objective.kind == "sft":
        return backend
    if not isinstance(backend, PackedBackend):
        reason = "; ".join(backend.notes) or "train.compute.backend is plain"
        raise ConfigError(
            f"train.objective: {objective.kind} needs packs, which this run can't have ({reason}); use sft"
        )
    if backend.retry is not None:
        backend = replace(backend, retry=replace(backend.retry, split=split_answer_pack))
    if isinstance(objective, GrpoObjective):
        path = folder.path / ROLLOUTS if context.is_main else None
        return ObjectiveBackend(backend, _policy(backend, config, objective, model, processor, rows, path, own_rewards))
    loss = _preference_loss(objective)
    start = StartPolicy(model) if isinstance(objective, NEEDS_START) else None
    return ObjectiveBackend(backend, PreferenceObjective(backend, loss, start))


def _preference_loss(objective: DpoObjective | KtoObjective | OrpoObjective) -> PreferenceLoss:
    options = objective.model_dump(exclude={"kind"})
    kinds: dict[str, Callable[..., PreferenceLoss]] = {"dpo": DpoPackLoss, "kto": KtoPackLoss, "orpo": OrpoPackLoss}
    return kinds[objective.kind](**options)


def reward_processes(objective: GrpoObjective, *, on_gpu: bool) -> int:
    """Processes for the rewards; `auto` takes some beside a GPU, and none where the CPU trains."""
    if objective.reward_workers != "auto":
        return objective.reward_workers
    return min(MAX_REWARD_WORKERS, (os.cpu_count() or 1) // 2) if on_gpu else 0


def _policy(
    backend: PackedBackend,
    config: RunConfig,
    objective: GrpoObjective,
    model: Any,
    processor: Processor,
    rows: Rows,
    path: Path | None,
    own_rewards: Sequence[OwnReward],
) -> PolicyObjective:
    train = config.train
    on_gpu = next(model.parameters()).is_cuda
    stock = model.get_base_model() if hasattr(model, "get_base_model") else model
    sampling = Sampling(objective.max_new_tokens, objective.temperature)
    prompts = train.batch_size * train.gradient_accumulation
    plan = rollout_plan(objective, prompts, stock.config) if on_gpu else None
    spec = RewardSpec(objective.rewards, tuple(own_rewards), objective.watch)
    scorer = RewardScorer(spec, reward_processes(objective, on_gpu=on_gpu))
    sampler = AnswerSampler(model, processor, sampling, plan=plan)
    maker = RolloutMaker(sampler, scorer, processor, rows, answers=objective.answers, seed=train.seed)
    options = PolicyOptions(
        temperature=objective.temperature,
        advantage=objective.advantage,
        ratio=objective.ratio,
        clip=objective.clip,
        normalize=objective.normalization,
        kl=objective.kl,
        updates=objective.updates,
        skip_flat=objective.skip_flat,
        limit=objective.max_new_tokens,
        max_grad_norm=train.optimizer.max_grad_norm,
    )
    log = RolloutLog(path, train.logging.every_steps, train.logging.pictures)
    return PolicyObjective(backend, options, maker, StartPolicy(model), log)
