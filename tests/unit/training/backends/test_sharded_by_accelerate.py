import pytest
import torch

from texlens.config.load import build_config
from texlens.core.errors import ConfigError
from texlens.training.backends.sharded_by_accelerate import check_sharded, is_sharded

DEEPSPEED = {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_MIXED_PRECISION": "bf16"}
ZERO_2, ZERO_3 = ({**DEEPSPEED, "ACCELERATE_DEEPSPEED_ZERO_STAGE": stage} for stage in "23")
FSDP = {"ACCELERATE_USE_FSDP": "true"}


def settings(**train):
    return build_config({"model": {"path": "nano"}, "data": {"path": "demo"}, "train": train}).train


def test_other_launches_are_not_checked():
    assert not is_sharded({"ACCELERATE_MIXED_PRECISION": "bf16"})
    check_sharded(settings(validation={"generation_rows": 4}), torch.float32, {"ACCELERATE_MIXED_PRECISION": "bf16"})


@pytest.mark.parametrize("environment", [ZERO_2, ZERO_3, FSDP])
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


@pytest.mark.parametrize("environment", [ZERO_3, FSDP])
def test_rows_can_not_be_read_with_divided_weights(environment):
    with pytest.raises(ConfigError, match="generation_rows: no process has all weights"):
        check_sharded(settings(validation={"generation_rows": 4}), torch.bfloat16, environment)
    shown = settings(logging={"trackers": ["tensorboard"], "pictures": 2})
    with pytest.raises(ConfigError, match=r"logging.pictures: no process has all weights"):
        check_sharded(shown, torch.bfloat16, environment)


def test_rows_are_read_where_each_process_has_all_weights():
    check_sharded(settings(validation={"generation_rows": 4}), torch.bfloat16, ZERO_2)
