"""What each of several GPUs keeps and sends."""

import pytest

from tests.fixtures.tiny_models import tiny_config
from texlens.config.load import build_config
from texlens.models.meta_model import build_config as build_model_config
from texlens.models.sharding.division import Division
from texlens.planner.gpus import find_gpu
from texlens.planner.memory import GIB, PARTS, MemoryPlan
from texlens.planner.plan import plan_on_gpu
from texlens.planner.several_gpus.division import WeightBytes
from texlens.planner.several_gpus.sharing import SharedWeights

WEIGHTS = WeightBytes(GIB, 4 * GIB, 8 * GIB, (GIB // 8, GIB // 2), 32)
TEXT = build_model_config(tiny_config("qwen3_vl_moe")).text_config


def shared(weights: bool, experts: bool) -> SharedWeights:
    return SharedWeights(Division(weights, experts, 0, 2), WEIGHTS, TEXT, 10**6, find_gpu("h20"))


def test_memory_of_a_gpu_that_keeps_a_part():
    memory = MemoryPlan({**dict.fromkeys(PARTS, 0.0), "frozen weights": 13.0}, 0.75, 0.0)
    parts = shared(False, True).applied_to(memory).parts
    assert parts["frozen weights"] == pytest.approx(9.0)
    assert parts["workspace"] == 0.0
    parts = shared(True, False).applied_to(memory).parts
    assert parts["frozen weights"] == pytest.approx(7.0)
    assert parts["workspace"] == pytest.approx(1.0, abs=0.01)


def test_communication_grows_with_packs_where_weights_are_gathered_and_with_tokens_where_experts_are_divided():
    few, many = (shared(True, False).of_step(tokens, 1000, "none").communication for tokens in (1000, 4000))
    assert many.gathering == pytest.approx(4 * few.gathering)
    assert many.exchanging == 0
    few, many = (shared(False, True).of_step(tokens, 1000, "none").communication for tokens in (1000, 4000))
    assert many.exchanging == pytest.approx(4 * few.exchanging)
    assert many.reducing == few.reducing > 0


def test_plan_of_two_gpus_says_what_is_divided():
    settings = {"adapter": {"targets": ["text-attention"]}, "train": {"parallel": {"experts": "shard"}}}
    config = build_config({"model": {"path": "nano"}, "data": {"path": "demo"}, **settings})
    plan = plan_on_gpu(config, tiny_config("qwen3_vl_moe"), [], find_gpu("h20"), 2)
    sharing = plan.to_json()["sharing"]
    assert (sharing["weights"], sharing["experts"]) == ("replicate", "shard")
    assert plan.time.communication > 0
    single = plan_on_gpu(config, tiny_config("qwen3_vl_moe"), [], find_gpu("h20"), 1)
    assert single.sharing is None
    assert single.time.communication == 0
