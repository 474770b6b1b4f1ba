"""Which runs the plan takes as fused, as `models.packed.text` does, and how full it takes their packs to be."""

import pytest

from tests.fixtures.tiny_models import tiny_config
from texlens.config.load import build_config
from texlens.models.meta_model import build_config as build_model_config
from texlens.planner.packed import fullest_pack, is_fused

LORA = {"kind": "lora", "rank": 4, "targets": ["text-attention"]}


@pytest.mark.parametrize(
    ("adapter", "quantize", "family", "fused"),
    [
        (LORA, "none", "qwen3_vl_moe", True),
        ({**LORA, "experts": "lora"}, "nf4", "qwen3_vl_moe", True),
        ({**LORA, "dropout": 0.1}, "fp8", "qwen3_vl", True),
        ({**LORA, "dora": True}, "nf4", "qwen3_vl", True),
        ({"kind": "moe-lora", "rank": 4, "targets": ["text-mlp"]}, "none", "qwen2_5_vl", True),
        ({**LORA, "dora": True, "dropout": 0.1}, "none", "qwen3_vl", False),
        (LORA, "int8", "qwen3_vl", False),
        (LORA, "none", "qwen3_5_moe", False),
        (LORA, "none", "qwen3_5", True),
        ({"kind": "full", "targets": ["text-attention"]}, "none", "qwen3_vl", False),
    ],
)
def test_what_is_fused(adapter, quantize, family, fused):
    values = {"model": {"path": "nano"}, "data": {"path": "demo"}, "adapter": adapter, "base": {"quantize": quantize}}
    assert is_fused(build_config(values), build_model_config(tiny_config(family)).text_config) is fused


def test_the_fullest_pack_is_that_of_an_even_division_and_a_longer_row_is_one_alone():
    assert fullest_pack([[1100] * 64, [100] * 64], 32_768) == 22 * 1100
    assert fullest_pack([[300, 200]], 1024) == 500
    assert fullest_pack([[90, 10], [20, 20]], 60) == 90
