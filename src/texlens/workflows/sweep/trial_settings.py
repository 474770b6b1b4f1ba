"""What a sweep changes in the settings of a trial: how often it is measured, and that image features are kept."""

from collections.abc import Mapping
from typing import Any

from texlens.config.run import RunConfig
from texlens.core.errors import ConfigError
from texlens.kernels.attention.api import attention_unsupported_reason
from texlens.models.device import choose_device
from texlens.planner.steps import planned_steps
from texlens.training.prepare import Prepared

MEASUREMENTS = 5
"""Validations of a trial whose settings don't say how often."""


def measured_often(config: RunConfig, prepared: Prepared) -> RunConfig:
    """The settings with a validation `MEASUREMENTS` times in a trial, where they don't say how often.

    Raises:
        ConfigError: there are no validation rows to compare trials on.
    """
    if not prepared.splits.validation:
        raise ConfigError(
            "a sweep compares trials on validation rows; set data.splits.validation to a split or a share such as 0.05"
        )
    validation = config.train.validation
    if validation.every_steps:
        return config
    steps = planned_steps(config.train, len(prepared.splits.train))
    every = max(1, -(-steps // MEASUREMENTS))
    changed = validation.model_copy(update={"every_steps": every})
    return config.model_copy(update={"train": config.train.model_copy(update={"validation": changed})})


def planned_measurements(config: RunConfig, prepared: Prepared) -> int:
    """How often a trial is measured, at most."""
    steps = planned_steps(config.train, len(prepared.splits.train))
    return -(-steps // (config.train.validation.every_steps or steps))


def with_features_cached(config: RunConfig, prepared: Prepared, values: Mapping[str, Any]) -> RunConfig:
    """The settings with `train.cache_features: on` where that is possible and the run file, `values`, says nothing: all
    trials see the same images through the same frozen tower."""
    if "cache_features" in (values.get("train") or {}) or not _can_cache_features(config, prepared):
        return config
    return config.model_copy(update={"train": config.train.model_copy(update={"cache_features": "on"})})


def _can_cache_features(config: RunConfig, prepared: Prepared) -> bool:
    trained = {row.group for row in prepared.plan.coverage if row.matched}
    is_packed = (
        config.train.compute.backend != "plain"
        and config.model.dtype != "float16"
        and config.model.attention in ("auto", "sdpa")
        and attention_unsupported_reason(choose_device(config.model.device)) is None
    )
    return is_packed and config.data.augment is None and not trained & {"vision", "merger"}
