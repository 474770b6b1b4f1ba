"""What `accelerate launch` asks for where it divides a model among processes: DeepSpeed, or FSDP."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from texlens.config.train import TrainSettings
from texlens.core.errors import ConfigError

FSDP, DEEPSPEED = "ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED"
STAGE, PRECISION = "ACCELERATE_DEEPSPEED_ZERO_STAGE", "ACCELERATE_MIXED_PRECISION"
WHOLE_WEIGHTS = ("0", "1", "2")
"""Stages of ZeRO in which each process has all weights."""
PRECISIONS: dict[Any, str] = {torch.bfloat16: "bf16", torch.float16: "fp16"}


def is_sharded(environment: Mapping[str, str] = os.environ) -> bool:
    return _is_set(environment, FSDP) or _is_set(environment, DEEPSPEED)


def check_sharded(settings: TrainSettings, dtype: torch.dtype, environment: Mapping[str, str] = os.environ) -> None:
    """
    Args:
        dtype: of the base.

    Raises:
        ConfigError: DeepSpeed's precision is not the base's; or rows are to be read while training, by a process that
            does not have all weights.
    """
    if not is_sharded(environment):
        return
    expected, chosen = PRECISIONS.get(dtype, "no"), environment.get(PRECISION, "no")
    if _is_set(environment, DEEPSPEED) and chosen != expected:
        name = str(dtype).removeprefix("torch.")
        raise ConfigError(
            f"accelerate's mixed_precision is {chosen}, and the base is in {name}; "
            f"start with accelerate launch --mixed_precision {expected}"
        )
    if _is_set(environment, DEEPSPEED) and environment.get(STAGE) in WHOLE_WEIGHTS:
        return
    if settings.validation.generation_rows:
        raise ConfigError(
            "train.validation.generation_rows: no process has all weights to read with (ZeRO-3 or FSDP); set it to 0"
        )
    if settings.logging.trackers and settings.logging.pictures:
        raise ConfigError(
            "train.logging.pictures: no process has all weights to read with (ZeRO-3 or FSDP); set it to 0"
        )


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
