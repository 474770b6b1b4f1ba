"""Which modules other loaders leave in 16 bits, decided by their own matching code; vLLM's is read from its wheel
(tests/fixtures/vllm_source.py).
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.fixtures.vllm_source import definitions, vllm_source
from texlens.adapters.model_layout import linear_layers
from texlens.exporting.quantization.checkpoint import chosen_layers, unquantized_modules
from texlens.exporting.quantization.compressed_tensors import ignore_pattern, quantization_config
from texlens.models.bundled import bundled_config
from texlens.models.families import family_of
from texlens.models.meta_model import meta_model

MOE, DENSE = "Qwen3-VL-30B-A3B-Instruct", "Qwen3-VL-4B-Instruct"
LAYER = "language_model.model.layers.0"
"""A decoder layer in vLLM (models/qwen3_vl_moe.py, models/qwen3_moe.py of 0.33)."""
FUSED = {"qkv_proj": ["q_proj", "k_proj", "v_proj"], "gate_up_proj": ["gate_proj", "up_proj"]}
IN_16_BITS = [
    f"{LAYER}.mlp.gate",
    f"{LAYER}.mlp.experts.0.gate_proj",
    f"{LAYER}.mlp.experts.0.up_proj",
    f"{LAYER}.mlp.experts.0.down_proj",
    "visual.blocks.0.attn.qkv",
    "visual.merger.linear_fc1",
]
"""Names that vLLM asks for: a router, the projections of an expert, the tower."""


def ignored_modules(checkpoint: str) -> list[str]:
    config = bundled_config(checkpoint)
    names = [layer.name for layer in linear_layers(meta_model(config))]
    family = family_of(config)
    layers = {name for name in names if (family.group_of(name) or "").startswith("text")}
    unquantized = unquantized_modules(names, layers, family)
    return quantization_config("float-quantized", unquantized, "0.20", {}, None)["ignore"]


def compressed_tensors_ignores(name: str, patterns: Iterable[str]) -> bool:
    from compressed_tensors.utils.match import match_name

    return any(match_name(name, pattern) for pattern in patterns)


@pytest.fixture
def source(pytestconfig) -> Path:
    return vllm_source(pytestconfig) / "vllm/model_executor/layers/quantization"


@pytest.fixture
def vllm_ignores(source) -> Callable[[str, Iterable[str]], bool]:
    """vLLM's decision, fused layers included."""
    names = ("find_matching_patterns", "is_equal_or_regex_match", "should_ignore_layer")
    scope = {"re": re, "fnmatch": fnmatch, "Iterable": Iterable, "Mapping": Mapping}
    scope["MappingProxyType"] = MappingProxyType
    definitions(source / "utils/config_utils.py", names[:2], scope)
    decide = definitions(source / "compressed_tensors/utils.py", names[2:], scope)[names[2]]
    return lambda name, patterns: decide(name, patterns, FUSED)


@pytest.fixture(params=["compressed-tensors", "vLLM"])
def ignores(request) -> Callable[[str, Iterable[str]], bool]:
    if request.param == "compressed-tensors":
        return compressed_tensors_ignores
    return request.getfixturevalue("vllm_ignores")


def test_router_experts_and_tower_of_a_mixture_are_ignored_and_attention_is_not(ignores):
    patterns = ignored_modules(MOE)
    assert [name for name in IN_16_BITS if not ignores(name, patterns)] == []
    assert not ignores(f"{LAYER}.self_attn.o_proj", patterns)


def test_the_mlp_of_a_dense_model_is_not_ignored(ignores):
    patterns = ignored_modules(DENSE)
    assert not ignores(f"{LAYER}.mlp.down_proj", patterns)
    assert ignores("visual.blocks.0.mlp.linear_fc1", patterns)


def test_fused_layers_of_vllm_are_quantized_as_a_whole(vllm_ignores):
    patterns = ignored_modules(DENSE)
    assert not vllm_ignores(f"{LAYER}.self_attn.qkv_proj", patterns)
    assert not vllm_ignores(f"{LAYER}.mlp.gate_up_proj", patterns)


def test_vllm_reads_compressed_tensors_and_not_bitsandbytes(source):
    text = (source / "__init__.py").read_text(encoding="utf-8")
    methods = re.search(r"QuantizationMethods = Literal\[(.*?)\]", text, re.DOTALL)[1]
    assert '"compressed-tensors"' in methods
    assert "bitsandbytes" not in methods


def test_vllm_matches_linear_as_a_target_of_stacked_experts(source):
    """Why experts must be ignored: vLLM adds them to the targets of `Linear`, and asks for them by these names."""
    folder = source / "compressed_tensors"
    text = (folder / "compressed_tensors.py").read_text(encoding="utf-8")
    assert 'self.target_scheme_map["RoutedExperts"] = self.target_scheme_map["Linear"]' in text
    method = (folder / "compressed_tensors_moe/compressed_tensors_moe.py").read_text(encoding="utf-8")
    assert 'f"{layer_name}.0.{proj_name}"' in method
    assert "if scheme_dict is None:  # ignored layer" in method


def test_a_pattern_does_not_match_longer_names():
    pattern = ignore_pattern("mlp.gate")
    assert compressed_tensors_ignores(f"{LAYER}.mlp.gate", [pattern])
    assert not compressed_tensors_ignores(f"{LAYER}.mlp.gate_up_proj", [pattern])
    assert not compressed_tensors_ignores(f"{LAYER}.mlpxgate", [pattern])


def test_a_mixture_s_attention_is_what_is_quantized(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(bundled_config(MOE)))
    names = {layer.name.rpartition(".")[2] for layer in chosen_layers(tmp_path, vision=False)}
    assert names == {"q_proj", "k_proj", "v_proj", "o_proj"}
