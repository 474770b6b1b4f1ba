import pytest

from tests.fixtures.tiny_models import tiny_config
from texlens.config.load import build_config
from texlens.core.errors import ConfigError
from texlens.models.meta_model import build_config as build_model_config
from texlens.models.meta_model import meta_model
from texlens.models.packed.memory import PackOptions
from texlens.models.sharding.division import Division
from texlens.planner.gpus import find_gpu
from texlens.planner.several_gpus.division import (
    Communication,
    WeightBytes,
    check_parallel,
    divisions,
    fastest_division,
    pack_communication,
    processes_away,
    reducing_seconds,
    undividable_reason,
)
from texlens.planner.simulated_ops import KEPT_IN_16_BIT, quantize

GIB = 2**30
MIXTURE = {"hidden_size": 2048, "num_hidden_layers": 48, "num_experts": 128, "num_experts_per_tok": 8}
REPLICATED = Division(False, False, 0, 2)
EXPERTS, SHARDED = Division(False, True, 0, 2), Division(True, False, 0, 2)
LARGE = WeightBytes(2 * GIB, 4 * GIB, 54 * GIB, (GIB // 12, GIB + GIB // 4), 48)
"""About Qwen3-VL-30B-A3B in 16 bits."""


def config_of(**changes):
    return build_config({"model": {"path": "nano"}, "data": {"path": "demo"}, **changes})


def text_config():
    config = tiny_config("qwen3_vl_moe")
    config["text_config"] |= {**MIXTURE, "moe_intermediate_size": 768, "num_attention_heads": 32, "head_dim": 128}
    config["text_config"] |= {"num_key_value_heads": 4, "vocab_size": 151_936}
    return build_model_config(config).text_config


def test_bytes_are_those_of_the_model():
    model = meta_model(tiny_config("qwen3_vl_moe"))
    weights = WeightBytes.of(model)
    assert weights.total == sum(part.nbytes for part in model.parameters())
    stacks = [part for layer in model.model.language_model.layers for part in layer.mlp.experts.parameters()]
    assert weights.stacks == sum(part.nbytes for part in stacks)
    assert weights.resident(EXPERTS) == weights.total - weights.stacks // 2
    assert weights.resident(SHARDED) == weights.whole + (weights.dense + weights.stacks) // 2
    assert weights.traffic(SHARDED) == (weights.dense + weights.stacks) // 2
    assert weights.traffic(EXPERTS) == weights.gathered(EXPERTS) == 0


def test_settings_restrict_the_divisions():
    mixture, dense = tiny_config("qwen3_vl_moe"), tiny_config("qwen3_vl")
    assert [(d.weights, d.experts) for d in divisions(config_of(), mixture, 2)] == [
        (False, False), (False, True), (True, False), (True, True),
    ]  # fmt: skip
    assert [(d.weights, d.experts) for d in divisions(config_of(), dense, 2)] == [(False, False), (True, False)]
    sharded = config_of(train={"parallel": {"weights": "shard", "experts": "replicate"}})
    assert [(d.weights, d.experts) for d in divisions(sharded, mixture, 2)] == [(True, False)]
    quantized = config_of(base={"quantize": "nf4"})
    assert len(list(divisions(quantized, mixture, 2))) == 4
    in_8_bits = config_of(base={"quantize": "int8"})
    assert [(d.weights, d.experts) for d in divisions(in_8_bits, dense, 2)] == [(False, False)]


@pytest.mark.parametrize(("kind", "ratio"), [("fp8", 2), ("nf4", 4)])
def test_bytes_of_quantized_weights_are_those_that_are_stored(kind, ratio):
    config = tiny_config("qwen3_vl_moe")
    whole = WeightBytes.of(meta_model(config).bfloat16())
    model = meta_model(config).bfloat16()
    quantize(model, kind, KEPT_IN_16_BIT)
    weights = WeightBytes.of(model, bytes_in_16_bits=whole.total)
    scales_of_tiny_experts = 5_000
    assert 0 < weights.stacks - whole.stacks // ratio < scales_of_tiny_experts
    assert weights.whole == whole.whole
    assert weights.shrunk == pytest.approx(whole.total / weights.total)
    assert weights.resident(EXPERTS) == weights.total - weights.stacks // 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"adapter": {"kind": "full"}}, "only frozen weights are divided"),
        ({"adapter": {"dora": True}}, "norms of whole weights"),
        ({"adapter": {"init": "pissa"}}, "adapter.init: pissa"),
        ({"base": {"quantize": "int8"}}, "base.quantize: int8"),
        (
            {"train": {"objective": "grpo"}, "data": {"path": "demo", "splits": {"validation": None}}},
            "train.objective: grpo needs whole weights",
        ),
        ({"train": {"compute": {"backend": "plain"}}}, "DeepSpeed"),
    ],
)
def test_what_can_not_be_divided_is_named(changes, reason):
    assert reason in (undividable_reason(config_of(**changes)) or "")
    assert undividable_reason(config_of()) is None


def test_gathering_runs_next_to_the_computation_and_the_rest_does_not():
    communication = Communication(gathering=3.0, exchanging=0.5, reducing=0.25)
    assert communication.added(2.0) == 1.75
    assert communication.added(4.0) == 0.75
    assert communication.to_json() == {"gathering_s": 3.0, "exchanging_s": 0.5, "reducing_s": 0.25}


def test_gathering_a_large_mixture_takes_about_90_ms_a_pass_between_two_h200():
    communication = pack_communication(LARGE, SHARDED, text_config(), 16_384, "none", find_gpu("h200"))
    assert communication.gathering / 2 == pytest.approx(0.09, rel=0.05)
    assert communication.exchanging == 0


def test_exchanging_rows_of_a_large_mixture_takes_about_70_ms_a_step_between_two_h200():
    """A row of 2,048 values travels to the other GPU in 16 bits and back in 32, in both passes of 48 layers."""
    gpu = find_gpu("h200")
    communication = pack_communication(LARGE, EXPERTS, text_config(), 16_384, "none", gpu)
    rows = 16_384 * (1 - 0.5**8)
    assert communication.exchanging == pytest.approx(48 * rows * 2048 * 12 * 1.25 / (gpu.link_gbs * 1e9 * 0.75))
    assert communication.exchanging == pytest.approx(0.072, rel=0.05)
    recomputing = pack_communication(LARGE, EXPERTS, text_config(), 16_384, "full", gpu)
    assert recomputing.exchanging == pytest.approx(14 / 12 * communication.exchanging)


@pytest.mark.parametrize(("processes", "experts", "expected"), [(2, 1, 0.5), (2, 8, 0.996), (8, 8, 4.595), (1, 8, 0)])
def test_a_row_travels_once_to_each_process_that_needs_it(processes, experts, expected):
    assert processes_away(processes, experts) == pytest.approx(expected, abs=1e-3)


def test_reducing_two_times_the_gradients_share():
    gpu = find_gpu("h200")
    assert reducing_seconds(10**9, 2, gpu) == pytest.approx(4e9 / (gpu.link_gbs * 1e9 * 0.75))


def choose(memory_gib: float):
    candidates = divisions(config_of(), tiny_config("qwen3_vl_moe"), 2)
    options = PackOptions(tokens=(16_384, 4096), itemsize=2)
    return fastest_division(candidates, LARGE, text_config(), 2 * GIB, memory_gib * GIB, options, find_gpu("h200"))


def test_model_that_fits_is_replicated():
    plan = choose(130)
    assert (plan.division.weights, plan.division.experts, plan.fits) == (False, False, True)


def test_experts_are_divided_where_a_mixture_does_not_fit():
    plan = choose(60)
    assert (plan.division.weights, plan.division.experts, plan.fits) == (False, True, True)


def test_division_of_least_memory_is_taken_where_nothing_fits():
    plan = choose(8)
    assert plan.division.weights
    assert not plan.fits


def test_experts_of_a_dense_model_can_not_be_divided():
    with pytest.raises(ConfigError, match=r"train.parallel.experts: shard needs a mixture of experts"):
        check_parallel(config_of(train={"parallel": {"experts": "shard"}}), tiny_config("qwen3_vl"))


def test_what_keeps_weights_from_being_divided_is_named():
    config = config_of(train={"parallel": {"weights": "shard"}}, adapter={"kind": "full"})
    with pytest.raises(ConfigError, match=r"train.parallel.weights: shard can't be used here: adapter.kind is full"):
        check_parallel(config, tiny_config("qwen3_vl"))
