import pytest

from tests.fixtures.tiny_models import tiny_config
from texlens.config.load import build_config
from texlens.core.errors import ConfigError
from texlens.planner.plan import simulate
from texlens.planner.run_plan import plan_run
from texlens.planner.simulated_step import Batch


@pytest.mark.parametrize(
    "adapter",
    [
        {"kind": "lora", "rank": 8, "targets": ["text-attention"], "experts": "lora"},
        {"kind": "moe-lora", "rank": 8, "targets": ["text-attention"]},
        {"kind": "full", "targets": ["text-attention"]},
    ],
)
def test_every_kind_of_adapter_runs_on_the_meta_device(adapter):
    values = {"model": {"path": "nano"}, "data": {"path": "demo"}, "adapter": adapter}
    batch = Batch(2, 24, 16, (((4, 4),), ((4, 4),)))
    step, trained = simulate(build_config(values), tiny_config("qwen3_vl_moe"), batch)
    assert step.gradients == sum(parameter.nbytes for parameter in trained)


def test_mixture_can_not_be_planned_over_an_int8_base():
    settings = {"model": {"path": "Qwen/Qwen3-VL-30B-A3B-Instruct"}, "data": {"path": "nowhere"}}
    with pytest.raises(ConfigError, match="int8 quantizes linear layers only"):
        plan_run(build_config({**settings, "base": {"quantize": "int8"}}))
