"""Which runs the plan takes as fused, as `models.packed.text` does, and how full it takes their packs to be."""

import pytest

from texlens.config.load import build_config
from texlens.models.bundled import bundled_config
from texlens.models.meta_model import build_config as build_model_config
from texlens.models.packed.memory import saved_per_token
from texlens.planner.gpus import find_gpu
from texlens.planner.packed import besides_of, fullest_pack, is_fused, plan_pack

GIB = 2**30
LORA = {"kind": "lora", "rank": 4, "targets": ["text-attention"]}


def run_of(adapter, quantize="none"):
    values = {"model": {"path": "nano"}, "data": {"path": "demo"}, "adapter": adapter, "base": {"quantize": quantize}}
    return build_config(values)


@pytest.mark.parametrize(
    ("adapter", "quantize", "fused"),
    [
        (LORA, "none", True),
        ({**LORA, "experts": "lora"}, "nf4", True),
        ({**LORA, "dropout": 0.1}, "fp8", True),
        ({**LORA, "dora": True}, "nf4", True),
        ({"kind": "moe-lora", "rank": 4, "targets": ["text-mlp"]}, "none", True),
        ({**LORA, "dora": True, "dropout": 0.1}, "none", False),
        (LORA, "int8", False),
        ({"kind": "full", "targets": ["text-attention"]}, "none", False),
    ],
)
def test_what_is_fused(adapter, quantize, fused):
    assert is_fused(run_of(adapter, quantize)) is fused


def test_the_fullest_pack_is_that_of_an_even_division_and_a_longer_row_is_one_alone():
    assert fullest_pack([[1100] * 64, [100] * 64], 32_768) == 22 * 1100
    assert fullest_pack([[300, 200]], 1024) == 500
    assert fullest_pack([[90, 10], [20, 20]], 60) == 90


def test_what_layers_save_besides_makes_packs_smaller():
    plain, dora = ({**LORA, "dora": value} for value in (False, True))
    text = build_model_config(bundled_config("Qwen3-VL-4B-Instruct")).text_config
    config, steps = run_of(plain), [[100] * 320]
    gpu = find_gpu("a10")
    without = plan_pack(config, text, 9 * GIB, 0, steps, gpu)
    besides = {"none": 800_000, "mlp": 800_000, "full": 200_000}
    assert plan_pack(config, text, 9 * GIB, 0, steps, gpu, besides).tokens < without.tokens
    assert besides_of(run_of(dora), text, 0.0, besides) == besides
    unfused = besides_of(run_of({**dora, "dropout": 0.1}), text, 5e6, besides)
    assert unfused == {mode: round(5e6 - saved_per_token(text, mode)) for mode in ("none", "mlp")}
