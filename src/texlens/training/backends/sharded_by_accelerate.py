"""What `accelerate launch` asks for where it divides a model among processes: DeepSpeed's ZeRO."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from texlens.config.train import TrainSettings
from texlens.core.errors import ConfigError, one_line

FSDP, DEEPSPEED = "ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED"
STAGE, SETTINGS_FILE = "ACCELERATE_DEEPSPEED_ZERO_STAGE", "ACCELERATE_DEEPSPEED_CONFIG_FILE"
PRECISION = "ACCELERATE_MIXED_PRECISION"
WHOLE_WEIGHTS = ("0", "1", "2")
"""Stages of ZeRO in which each process has all weights."""
DEFAULT_STAGE = "2"
PRECISIONS: dict[Any, str] = {torch.bfloat16: "bf16", torch.float16: "fp16"}


def is_sharded(environment: Mapping[str, str] = os.environ) -> bool:
    return _is_set(environment, DEEPSPEED)


def check_launcher(environment: Mapping[str, str] = os.environ) -> None:
    """
    Raises:
        ConfigError: accelerate is to divide the model by FSDP, whose parts the plain backend does not save as a whole.
    """
    if _is_set(environment, FSDP):
        raise ConfigError(
            "FSDP of accelerate launch can't be used; start with torchrun, or --processes on one machine, and set "
            "train.parallel.weights: shard, which is FSDP2 in packs; trained weights are divided by DeepSpeed ZeRO-3"
        )


def check_sharded(settings: TrainSettings, dtype: torch.dtype, environment: Mapping[str, str] = os.environ) -> None:
    """
    Args:
        dtype: of the base.

    Raises:
        ConfigError: DeepSpeed's precision is not the base's; its settings can't be read; or rows are to be read while
            training, by a process that does not have all weights.
    """
    if not is_sharded(environment):
        return
    expected, chosen = PRECISIONS.get(dtype, "no"), environment.get(PRECISION, "no")
    if chosen != expected:
        name = str(dtype).removeprefix("torch.")
        raise ConfigError(
            f"accelerate's mixed_precision is {chosen}, and the base is in {name}; "
            f"start with accelerate launch --mixed_precision {expected}"
        )
    if zero_stage(environment) in WHOLE_WEIGHTS:
        return
    if settings.validation.generation_rows:
        raise ConfigError(
            "train.validation.generation_rows: no process has all weights to read with (ZeRO-3); set it to 0"
        )
    if settings.logging.trackers and settings.logging.pictures:
        raise ConfigError("train.logging.pictures: no process has all weights to read with (ZeRO-3); set it to 0")


def zero_stage(environment: Mapping[str, str]) -> str:
    """The stage that accelerate takes: that of DeepSpeed's own settings, else the launcher's, else 2.

    Raises:
        ConfigError: the settings can't be read.
    """
    from accelerate.utils.deepspeed import HfDeepSpeedConfig

    stage, file = environment.get(STAGE, DEFAULT_STAGE), environment.get(SETTINGS_FILE, "none")
    if file == "none":
        return stage
    try:
        stage_of_file = HfDeepSpeedConfig(file).get_value("zero_optimization.stage", "auto")
    except (ValueError, OSError, AttributeError) as error:
        raise ConfigError(
            f"deepspeed_config_file: {file} is no JSON of DeepSpeed's settings ({one_line(error, 100)}); name a file"
        ) from error
    return stage if stage_of_file == "auto" else str(stage_of_file)


@contextmanager
def whole_weights(model: nn.Module) -> Iterator[None]:
    """Inside, what is saved of a model that ZeRO-3 divides is whole in every process: the trained weights, or all where
    there is no adapter. All processes enter together."""
    is_full = not hasattr(model, "peft_config")
    divided = [part for part in model.parameters() if hasattr(part, "ds_id") and (is_full or part.requires_grad)]
    if not divided:
        yield
        return
    from deepspeed.runtime.zero import GatheredParameters

    with GatheredParameters(divided):
        yield


def _is_set(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(name, "").lower() in ("1", "true")
