import pytest

from texlens.config.load import build_config
from texlens.core.errors import ConfigError
from texlens.models.bundled import bundled_config
from texlens.planner.gpus import find_gpu
from texlens.planner.memory import optimizer_bytes
from texlens.planner.plan import plan_on_gpu


def test_moments_have_the_parameters_dtype_or_one_byte():
    import torch

    adapter = torch.nn.Parameter(torch.empty(4096, device="meta"))
    norm = torch.nn.Parameter(torch.empty(64, device="meta", dtype=torch.bfloat16))
    assert optimizer_bytes([adapter, norm], "adamw") == 2 * 4 * 4096 + 2 * 2 * 64
    assert optimizer_bytes([adapter, norm], "adamw-8bit") == 2 * (4096 + 4 * 16) + 2 * 4 * 64


def test_fp8_weighs_as_much_as_16_bits_and_needs_fp8_units():
    config = bundled_config("nano")
    assert config is not None
    settings = {"model": {"path": "nano"}, "data": {"path": "demo"}, "train": {"epochs": 1}}
    plans = [
        plan_on_gpu(build_config({**settings, "base": {"quantize": how}}), config, [], find_gpu("h200"))
        for how in ("none", "fp8")
    ]
    weights = [plan.memory.parts["frozen weights"] for plan in plans]
    assert weights[1] == pytest.approx(weights[0], rel=0.02)
    assert any("two bytes a number" in note for note in plans[1].notes)
    with pytest.raises(ConfigError, match=r"A100.* has no FP8 units; set base\.quantize: none"):
        plan_on_gpu(build_config({**settings, "base": {"quantize": "fp8"}}), config, [], find_gpu("a100-80g"))
