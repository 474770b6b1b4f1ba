"""Our settings as transformers' TrainingArguments: the one place where the two vocabularies meet."""

import dataclasses
import difflib
import importlib.util
import math
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers.training_args import TrainingArguments

from texlens.config.train import TrainSettings, ValidationSettings
from texlens.core.errors import ConfigError
from texlens.planner.steps import planned_steps, rows_and_batches, steps_per_epoch
from texlens.training.trackers.registry import TRACKERS


def check_train_settings(settings: TrainSettings, has_gpu: bool, has_validation: bool = True) -> None:
    """Checks that need no model.

    Raises:
        ConfigError: a tracker or optimizer that can't work here, or a choice by validation without validation rows.
    """
    _check_validation(settings.validation, has_validation)
    for name in settings.logging.trackers:
        if name not in TRACKERS:
            near = difflib.get_close_matches(name, TRACKERS, 1, 0.5)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(TRACKERS)}"
            raise ConfigError(f"train.logging.trackers: no tracker is named {name!r}; {hint}")
        tracker = TRACKERS[name]
        if importlib.util.find_spec(tracker.package) is None:
            raise ConfigError(f"train.logging.trackers: {name} is not installed; pip install 'texlens[{_extra(name)}]'")
        if tracker.environment and not any(os.environ.get(variable) for variable in tracker.environment):
            raise ConfigError(
                f"train.logging.trackers: {name} needs {tracker.environment[0]} in the environment or .env, or "
                f"{tracker.environment[-1]}=offline"
            )
    if settings.optimizer.name == "adamw-8bit" and not (has_gpu and importlib.util.find_spec("bitsandbytes")):
        missing = "bitsandbytes, which is not installed (pip install bitsandbytes)" if has_gpu else "a GPU"
        raise ConfigError(f"train.optimizer.name: adamw-8bit needs {missing}; use adamw")


def _extra(tracker: str) -> str:
    """The extra that brings a tracker in a version that was tested."""
    return "trackio" if tracker == "trackio" else "trackers"


def _check_validation(settings: ValidationSettings, has_validation: bool) -> None:
    needing = {
        "early_stopping_patience": settings.early_stopping_patience,
        "best_by": settings.best_by != "validation_loss",
        "generation_rows": settings.generation_rows,
    }
    unusable = [name for name, value in needing.items() if value]
    if unusable and not has_validation:
        raise ConfigError(
            f"train.validation.{unusable[0]} needs validation rows and data.splits.validation is null; "
            "set data.splits.validation: 0.05, or remove it"
        )


def warmup_steps(settings: TrainSettings, steps: int) -> int:
    """Steps of the warm-up in a run of `steps`."""
    return settings.optimizer.warmup_steps or math.ceil(settings.optimizer.warmup_ratio * steps)


def warmup_note(settings: TrainSettings, rows: int) -> list[str]:
    """A remark where the warm-up is as long as the run, so that the learning rate is never reached."""
    steps = planned_steps(settings, rows)
    warmup = warmup_steps(settings, steps)
    if warmup < steps:
        return []
    return [f"train.optimizer.warmup_steps: {warmup} of {steps} steps: the learning rate is not reached before the end"]


@dataclass(frozen=True)
class RunFacts:
    """What a run's TrainingArguments depend on beside its settings.

    Args:
        folder: of the checkpoints.
        name: of the run, for trackers.
        rows: train rows.
        lower_is_better: scores of which a smaller value is better.
        whole_steps: a batch of the loader is a whole optimizer step (`StepBackend.whole_steps`).
        fp16: train with float16 autocast and a gradient scaler.
        workers: processes that make batches; 0 is the training process itself.
        world_size: processes that share the rows of a step.
    """

    folder: Path
    name: str
    rows: int
    has_validation: bool
    bf16: bool
    lower_is_better: Collection[str] = ()
    whole_steps: bool = False
    fp16: bool = False
    workers: int = 0
    world_size: int = 1


def training_arguments(settings: TrainSettings, run: RunFacts) -> TrainingArguments:
    rows_per_batch, batches = rows_and_batches(settings, 1 if run.whole_steps else run.world_size)
    if run.whole_steps:
        rows_per_batch, batches = rows_per_batch * batches, 1
    steps = planned_steps(settings, run.rows)
    per_epoch = steps_per_epoch(run.rows, settings.batch_size, settings.gradient_accumulation)
    evaluate_every = settings.validation.every_steps or per_epoch
    optimizer = settings.optimizer
    best_by = settings.validation.best_by
    has_gpu = torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(run.folder),
        run_name=run.name,
        max_steps=settings.steps or -1,
        num_train_epochs=settings.epochs or 1.0,
        per_device_train_batch_size=rows_per_batch,
        per_device_eval_batch_size=settings.batch_size,
        gradient_accumulation_steps=batches,
        learning_rate=optimizer.learning_rate,
        lr_scheduler_type=optimizer.schedule if optimizer.schedule != "constant" else "constant_with_warmup",
        warmup_steps=warmup_steps(settings, steps),
        weight_decay=optimizer.weight_decay,
        max_grad_norm=optimizer.max_grad_norm,
        optim="adamw_bnb_8bit" if optimizer.name == "adamw-8bit" else "adamw_torch_fused",
        **_gradient_checkpointing(settings.compute.gradient_checkpointing and not run.whole_steps),
        bf16=run.bf16,
        fp16=run.fp16,
        use_cpu=not has_gpu,
        seed=settings.seed,
        data_seed=settings.seed,
        eval_strategy="steps" if run.has_validation else "no",
        eval_steps=evaluate_every if run.has_validation else None,
        metric_for_best_model=("loss" if best_by == "validation_loss" else best_by) if run.has_validation else None,
        greater_is_better=best_by not in ("validation_loss", *run.lower_is_better) if run.has_validation else None,
        save_strategy="steps",
        save_steps=settings.checkpoints.every_steps or evaluate_every,
        logging_steps=settings.logging.every_steps,
        logging_first_step=settings.logging.first_step,
        logging_nan_inf_filter=False,
        report_to=[],
        dataloader_num_workers=run.workers,
        dataloader_persistent_workers=run.workers > 0,
        dataloader_pin_memory=has_gpu,
        accelerator_config={"non_blocking": has_gpu},
        ddp_broadcast_buffers=False,
        remove_unused_columns=False,
        restore_callback_states_from_checkpoint=True,
        disable_tqdm=True,
    )


def _gradient_checkpointing(enabled: bool) -> dict:
    """Non-reentrant recomputation, under the name that this version of transformers uses."""
    names = {field.name for field in dataclasses.fields(TrainingArguments)}
    name = "activation_checkpointing" if "activation_checkpointing" in names else "gradient_checkpointing"
    return {name: True, f"{name}_kwargs": {"use_reentrant": False}} if enabled else {}
