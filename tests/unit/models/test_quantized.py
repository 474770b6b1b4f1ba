"""Bases in 4 and 8 bit. bitsandbytes is optional; where it is missing only its refusal is tested."""

import importlib.util

import pytest
import torch
from torch import nn

from tests.fixtures.tiny_models import write_tiny_checkpoint
from texlens.config.quantize import QuantizeSettings
from texlens.core.errors import ConfigError
from texlens.models.families import FAMILIES
from texlens.models.load import describe, load_model
from texlens.models.quantized import check_quantize, is_packed

HAS = importlib.util.find_spec("bitsandbytes") is not None
needs_bitsandbytes = pytest.mark.skipif(not HAS, reason="bitsandbytes is not installed")


CPU, GPU = torch.device("cpu"), torch.device("cuda:0")


def check(
    method: str, family: str = "qwen3_vl", device: torch.device = CPU, dtype: torch.dtype = torch.float32
) -> None:
    check_quantize(QuantizeSettings.model_validate({"quantize": method}), FAMILIES[family], device, dtype)


def test_without_bitsandbytes_the_package_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="nf4 needs bitsandbytes"):
        check("nf4")


def test_an_unquantized_base_needs_nothing():
    check("none", "qwen3_vl_moe")


def test_fp8_reports_what_is_missing(monkeypatch):
    with pytest.raises(ConfigError, match=r"fp8 can't be used here: .* a GPU; set base\.quantize: none, or nf4"):
        check("fp8")
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device: "A100")
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: (8, 0))
    with pytest.raises(ConfigError, match=r"A100 .*8\.9.*; set base\.quantize: none"):
        check("fp8", device=GPU, dtype=torch.bfloat16)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: (8, 9))
    with pytest.raises(ConfigError, match=r"computes in bfloat16, and model\.dtype is float16; set model\.dtype: auto"):
        check("fp8", device=GPU, dtype=torch.float16)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="fp8 needs Triton"):
        check("fp8", device=GPU, dtype=torch.bfloat16)


def test_a_mixture_in_int8_is_refused_because_its_experts_would_not_be_quantized(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    with pytest.raises(ConfigError, match=r"int8 quantizes linear layers only.* stacked experts; .* fp8 or nf4"):
        check("int8", "qwen3_vl_moe")
    check("nf4", "qwen3_vl_moe")


def test_the_parameters_of_an_fp8_base_are_counted(tmp_path):
    folder = write_tiny_checkpoint(tmp_path, "qwen3_vl")
    description = describe(load_model(folder, device="cpu", quantize=QuantizeSettings(quantize="fp8")))
    assert description["parameters"] == describe(load_model(folder, device="cpu"))["parameters"]
    assert (description["fp8_layers"], description["kept_in_16_bits"], description["dtype"]) == (14, [], "float32")


def test_the_vision_tower_of_an_fp8_base_is_fp8_on_request(tmp_path):
    folder = write_tiny_checkpoint(tmp_path, "qwen3_vl")
    quantize = QuantizeSettings(quantize="fp8", quantize_vision=True)
    description = describe(load_model(folder, device="cpu", quantize=quantize))
    assert description["parameters"] == describe(load_model(folder, device="cpu"))["parameters"]
    assert (description["fp8_layers"], description["kept_in_16_bits"]) == (14 + 3 * 4, [])


@needs_bitsandbytes
@pytest.mark.parametrize(("method", "kind"), [("nf4", "Linear4bit"), ("int8", "Linear8bitLt")])
def test_the_language_model_is_quantized_and_tower_and_head_are_not(method, kind, tmp_path):
    folder = write_tiny_checkpoint(tmp_path, "qwen3_vl")
    model = load_model(folder, device="cpu", quantize=QuantizeSettings(quantize=method))
    kinds = {name: type(module).__name__ for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    assert {kinds[name] for name in kinds if "language_model" in name} == {kind}
    assert {kinds[name] for name in kinds if "language_model" not in name} == {"Linear"}
    assert is_packed(model)
    assert not is_packed(load_model(folder, device="cpu"))


@needs_bitsandbytes
def test_scales_are_quantized_too_by_default(tmp_path):
    folder = write_tiny_checkpoint(tmp_path, "qwen3_vl")
    for twice in (True, False):
        model = load_model(folder, device="cpu", quantize=QuantizeSettings(quantize="nf4", double_quantize=twice))
        layer = model.model.language_model.layers[0].mlp.up_proj
        assert layer.weight.quant_state.nested is twice
        assert layer.compute_dtype == torch.float32


def test_a_4_bit_base_of_a_family_that_loses_by_it_gets_a_note(capsys):
    pytest.importorskip("bitsandbytes")
    settings = QuantizeSettings.model_validate({"quantize": "nf4"})
    check_quantize(settings, FAMILIES["qwen3_5"], torch.device("cpu"), torch.float32)
    assert "nf4 with Qwen3.5: 4-bit bases of this family lose more" in capsys.readouterr().err
    check_quantize(settings, FAMILIES["qwen3_vl"], torch.device("cpu"), torch.float32)
    assert not capsys.readouterr().err
