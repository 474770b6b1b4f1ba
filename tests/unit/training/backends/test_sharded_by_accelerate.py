import base64
import json

import pytest
import torch

from texlens.config.load import build_config
from texlens.core.errors import ConfigError
from texlens.training.backends.sharded_by_accelerate import (
    check_launcher,
    check_sharded,
    is_sharded,
    zero_stage,
)

DEEPSPEED = {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_MIXED_PRECISION": "bf16"}
ZERO_2, ZERO_3 = ({**DEEPSPEED, "ACCELERATE_DEEPSPEED_ZERO_STAGE": stage} for stage in "23")
FSDP = {"ACCELERATE_USE_FSDP": "true"}


def settings(**train):
    return build_config({"model": {"path": "nano"}, "data": {"path": "demo"}, "train": train}).train


def test_other_launches_are_not_checked():
    assert not is_sharded({"ACCELERATE_MIXED_PRECISION": "bf16"})
    check_sharded(settings(validation={"generation_rows": 4}), torch.float32, {"ACCELERATE_MIXED_PRECISION": "bf16"})


@pytest.mark.parametrize("environment", [ZERO_2, ZERO_3])
def test_sharded_launches_are_recognized_and_allowed(environment):
    assert is_sharded(environment)
    check_sharded(settings(), torch.bfloat16, environment)


@pytest.mark.parametrize(
    ("dtype", "name", "precision"), [(torch.float32, "float32", "no"), (torch.float16, "float16", "fp16")]
)
def test_other_precision_than_the_base_is_an_error_with_the_right_one(dtype, name, precision):
    message = f"mixed_precision is bf16, and the base is in {name}; .*--mixed_precision {precision}$"
    with pytest.raises(ConfigError, match=message):
        check_sharded(settings(), dtype, ZERO_3)


def test_rows_can_not_be_read_with_divided_weights():
    with pytest.raises(ConfigError, match="generation_rows: no process has all weights"):
        check_sharded(settings(validation={"generation_rows": 4}), torch.bfloat16, ZERO_3)
    shown = settings(logging={"trackers": ["tensorboard"], "pictures": 2})
    with pytest.raises(ConfigError, match=r"logging.pictures: no process has all weights"):
        check_sharded(shown, torch.bfloat16, ZERO_3)


def test_fsdp_of_accelerate_is_refused_with_what_to_use():
    check_launcher(ZERO_3)
    with pytest.raises(
        ConfigError, match=r"^FSDP of accelerate launch can't be used; .* train.parallel.weights: shard"
    ):
        check_launcher(FSDP)


@pytest.mark.parametrize(
    ("launcher", "of_file", "expected"),
    [({}, 2, "2"), ({}, 3, "3"), (ZERO_3, 2, "2"), (ZERO_2, "auto", "2"), (ZERO_3, None, "3"), ({}, None, "2")],
)
def test_stage_of_the_settings_file_comes_before_the_launcher_s(tmp_path, launcher, of_file, expected):
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"zero_optimization": {} if of_file is None else {"stage": of_file}}))
    named = {**launcher, "ACCELERATE_DEEPSPEED_CONFIG_FILE": str(file)}
    encoded = base64.urlsafe_b64encode(file.read_bytes()).decode()
    assert zero_stage(named) == expected
    assert zero_stage({**named, "ACCELERATE_DEEPSPEED_CONFIG_FILE": encoded}) == expected


def test_rows_are_read_with_a_settings_file_of_stage_2(tmp_path):
    file = tmp_path / "settings.json"
    file.write_text('{"zero_optimization": {"stage": 2}}')
    environment = {**DEEPSPEED, "ACCELERATE_DEEPSPEED_CONFIG_FILE": str(file)}
    check_sharded(settings(validation={"generation_rows": 4}), torch.bfloat16, environment)


@pytest.mark.parametrize("content", [None, "{", "[1]"])
def test_settings_file_that_can_not_be_read_is_named(tmp_path, content):
    file = tmp_path / "settings.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=r"deepspeed_config_file: .*settings.json is no JSON of DeepSpeed's settings"):
        zero_stage({"ACCELERATE_DEEPSPEED_CONFIG_FILE": str(file)})


def test_rows_are_read_where_each_process_has_all_weights():
    check_sharded(settings(validation={"generation_rows": 4}), torch.bfloat16, ZERO_2)
