"""Our settings as transformers' TrainingArguments: the one place where the two vocabularies meet."""

import dataclasses
import importlib.util
import math
import os
from collections.abc import Collection
from pathlib import Path

import torch
from transformers.training_args import TrainingArguments

from texlens.config.train import TrainSettings
from texlens.core.errors import ConfigError
from texlens.planner.steps import planned_steps, rows_and_passes, steps_per_epoch

TRACKER_PACKAGES = {"tensorboard": "tensorboard", "swanlab": "swanlab", "wandb": "wandb", "trackio": "trackio"}
TRACKER_KEYS = {"swanlab": ("SWANLAB_API_KEY", "SWANLAB_MODE"), "wandb": ("WANDB_API_KEY", "WANDB_MODE")}


def check_train_settings(settings: TrainSettings, has_gpu: bool) -> None:
    """What can be known to fail before a model is loaded.

    Raises:
        ConfigError: a tracker or optimizer that can't work here.
    """
    for tracker in settings.watch.trackers:
        if importlib.util.find_spec(TRACKER_PACKAGES[tracker]) is None:
            package = TRACKER_PACKAGES[tracker]
            raise ConfigError(f"train.watch.trackers: {tracker} is not installed; pip install {package}")
        names = TRACKER_KEYS.get(tracker)
        if names and not any(os.environ.get(name) for name in names):
            raise ConfigError(
                f"train.watch.trackers: {tracker} needs {names[0]} in the environment or .env, or {names[1]}=offline"
            )
    if settings.optimizer.name == "adamw-8bit" and not (has_gpu and importlib.util.find_spec("bitsandbytes")):
        missing = "bitsandbytes, which is not installed (pip install bitsandbytes)" if has_gpu else "a GPU"
        raise ConfigError(f"train.optimizer.name: adamw-8bit needs {missing}; use adamw")


def training_arguments(
    settings: TrainSettings,
    *,
    output: Path,
    rows: int,
    has_validation: bool,
    bf16: bool,
    run_name: str,
    lower_is_better: Collection[str] = (),
    packed: bool = False,
    workers: int = 0,
    processes: int = 1,
) -> TrainingArguments:
    """The arguments of a run over `rows` training rows that writes its checkpoints into `output`.

    `lower_is_better` names the scores of which a smaller value is the better one. A `packed` engine takes the rows of
    a whole step as one batch and does its own recomputation. `workers` processes make the batches, none the training
    process itself. Batches go to a GPU from pinned memory without waiting for it. Several `processes` share the rows of
    a step.
    """
    rows_per_batch, passes = rows_and_passes(settings, 1 if packed else processes)
    if packed:
        rows_per_batch, passes = rows_per_batch * passes, 1
    steps = planned_steps(settings, rows)
    per_epoch = steps_per_epoch(rows, settings.batch_size, settings.accumulation)
    evaluate_every = settings.watch.every_steps or per_epoch
    save_every = settings.checkpoints.every_steps or evaluate_every
    optimizer = settings.optimizer
    best_by = settings.watch.best_by
    on_gpu = torch.cuda.is_available() and bf16
    return TrainingArguments(
        output_dir=str(output),
        run_name=run_name,
        max_steps=settings.steps or -1,
        num_train_epochs=settings.epochs or 1.0,
        per_device_train_batch_size=rows_per_batch,
        per_device_eval_batch_size=settings.batch_size,
        gradient_accumulation_steps=passes,
        learning_rate=optimizer.learning_rate,
        lr_scheduler_type=optimizer.schedule if optimizer.schedule != "constant" else "constant_with_warmup",
        warmup_steps=optimizer.warmup_steps or math.ceil(optimizer.warmup_ratio * steps),
        weight_decay=optimizer.weight_decay,
        max_grad_norm=optimizer.max_grad_norm,
        optim="adamw_bnb_8bit" if optimizer.name == "adamw-8bit" else "adamw_torch_fused",
        **_checkpointing(settings.gradient_checkpointing and not packed),
        bf16=bf16,
        use_cpu=not on_gpu and not torch.cuda.is_available(),
        seed=settings.seed,
        data_seed=settings.seed,
        eval_strategy="steps" if has_validation else "no",
        eval_steps=evaluate_every if has_validation else None,
        metric_for_best_model=("loss" if best_by == "validation_loss" else best_by) if has_validation else None,
        greater_is_better=best_by not in ("validation_loss", *lower_is_better) if has_validation else None,
        save_strategy="steps",
        save_steps=save_every,
        logging_steps=settings.watch.log_every_steps,
        logging_nan_inf_filter=False,
        report_to=list(settings.watch.trackers),
        dataloader_num_workers=workers,
        dataloader_persistent_workers=workers > 0,
        dataloader_pin_memory=torch.cuda.is_available(),
        accelerator_config={"non_blocking": torch.cuda.is_available()},
        ddp_broadcast_buffers=False,
        remove_unused_columns=False,
        restore_callback_states_from_checkpoint=True,
        disable_tqdm=True,
    )


def _checkpointing(on: bool) -> dict:
    """Non-reentrant recomputation, under the name that this version of transformers gives it."""
    known = {field.name for field in dataclasses.fields(TrainingArguments)}
    name = "activation_checkpointing" if "activation_checkpointing" in known else "gradient_checkpointing"
    return {name: True, f"{name}_kwargs": {"use_reentrant": False}} if on else {}
