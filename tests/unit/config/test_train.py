"""Settings of training."""

import pytest
from pydantic import ValidationError

from texlens.config.load import build_config
from texlens.config.train import ComputeSettings, ParallelSettings, TrainSettings, ValidationSettings, on_or_off
from texlens.core.errors import ConfigError


def test_yaml_reads_on_and_off_as_booleans():
    assert [on_or_off(value) for value in (True, False, "auto")] == ["on", "off", "auto"]
    assert ComputeSettings(compile=False).compile == "off"


@pytest.mark.parametrize(
    ("settings", "values", "message"),
    [
        (ComputeSettings, {"backend": "plain", "pack_tokens": 512}, "pack_tokens belongs to the packed backend"),
        (ComputeSettings, {"gradient_checkpointing": True, "recompute": "none"}, "keep one of the two"),
        (ValidationSettings, {"best_by": "cdm_f1"}, "set generation_rows"),
        (TrainSettings, {"epochs": 0}, "greater than 0"),
        (TrainSettings, {"unknown": 1}, "unknown"),
    ],
)
def test_settings_without_an_effect_are_refused(settings, values, message):
    with pytest.raises(ValidationError, match=message):
        settings(**values)


def test_weights_are_placed_by_the_memory_plan_by_default():
    assert ParallelSettings() == ParallelSettings(weights="auto", experts="auto")


def test_unknown_placement_is_refused():
    values = {"model": {"path": "nano"}, "data": {"path": "demo"}, "train": {"parallel": {"weights": "fsdp"}}}
    with pytest.raises(ConfigError, match=r"train.parallel.weights"):
        build_config(values)
