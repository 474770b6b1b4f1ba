"""Bases in 4 and 8 bit. bitsandbytes is optional; where it is missing only its refusal is tested."""

import importlib.util

import pytest
import torch
from torch import nn

from tests.fixtures.tiny_models import write_tiny_checkpoint
from texlens.config.quantise import QuantiseSettings
from texlens.core.errors import ConfigError
from texlens.models.families import FAMILIES
from texlens.models.load import load_model
from texlens.models.quantised import check_quantise, is_packed

HAS = importlib.util.find_spec("bitsandbytes") is not None
needs_bitsandbytes = pytest.mark.skipif(not HAS, reason="bitsandbytes is not installed")


def test_without_bitsandbytes_the_package_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="nf4 needs bitsandbytes"):
        check_quantise(QuantiseSettings(quantise="nf4"), FAMILIES["qwen3_vl"])


def test_fp8_says_what_is_missing_and_a_base_as_it_is_needs_nothing():
    with pytest.raises(ConfigError, match=r"base\.quantise: fp8 needs"):
        check_quantise(QuantiseSettings(quantise="fp8"), FAMILIES["qwen3_vl"])
    check_quantise(QuantiseSettings(), FAMILIES["qwen3_vl_moe"])


@needs_bitsandbytes
def test_a_mixture_is_refused_since_its_experts_would_stay_as_they_are():
    with pytest.raises(ConfigError, match="stacked experts"):
        check_quantise(QuantiseSettings(quantise="int8"), FAMILIES["qwen3_vl_moe"])


@needs_bitsandbytes
@pytest.mark.parametrize(("how", "kind"), [("nf4", "Linear4bit"), ("int8", "Linear8bitLt")])
def test_the_language_model_is_packed_and_tower_and_head_are_not(how, kind, tmp_path):
    folder = write_tiny_checkpoint(tmp_path, "qwen3_vl")
    model = load_model(folder, device="cpu", quantise=QuantiseSettings(quantise=how))
    kinds = {name: type(module).__name__ for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    assert {kinds[name] for name in kinds if "language_model" in name} == {kind}
    assert {kinds[name] for name in kinds if "language_model" not in name} == {"Linear"}
    assert is_packed(model)
    assert not is_packed(load_model(folder, device="cpu"))


@needs_bitsandbytes
def test_scales_are_quantised_too_unless_told_otherwise(tmp_path):
    folder = write_tiny_checkpoint(tmp_path, "qwen3_vl")
    for twice in (True, False):
        model = load_model(folder, device="cpu", quantise=QuantiseSettings(quantise="nf4", double_quantise=twice))
        layer = model.model.language_model.layers[0].mlp.up_proj
        assert layer.weight.quant_state.nested is twice
        assert layer.compute_dtype == torch.float32
