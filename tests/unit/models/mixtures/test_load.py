"""Mixtures of experts quantized while they are loaded, compared with those quantized afterwards."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch

from tests.fixtures.tiny_models import tiny_model, write_tiny_checkpoint
from tests.unit.models.mixtures.quantized_stacks import values_of
from texlens.config.quantize import QuantizeSettings
from texlens.core.errors import ConfigError, ModelError
from texlens.models.fp8 import fp8_layers, quantize_in_fp8
from texlens.models.load import describe, load_model
from texlens.models.meta_model import model_without_weights
from texlens.models.mixtures.experts import STACKS, Fp8Stack, Nf4Stack, quantized_experts
from texlens.models.mixtures.load import fill_quantized

MIXTURES = ["qwen3_vl_moe", "qwen3_5_moe"]
FP8 = QuantizeSettings(quantize="fp8")
needs_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed"
)


@pytest.mark.parametrize("family", MIXTURES)
@pytest.mark.parametrize("how", ["fp8", pytest.param("nf4", marks=needs_bitsandbytes)])
def test_everything_is_as_in_the_16_bit_model_but_the_quantized_parts(family, how, tmp_path):
    write_tiny_checkpoint(tmp_path, family)
    loaded = load_model(tmp_path, quantize=QuantizeSettings(quantize=how))
    whole, _ = tiny_model(family)
    stored = dict(whole.named_parameters())
    unquantized = [
        name for name, part in loaded.named_parameters() if part.is_floating_point() and not part.isnan().any()
    ]
    assert all(torch.equal(loaded.get_parameter(name), stored[name]) for name in unquantized)
    for name, part in whole.named_buffers():
        assert torch.equal(loaded.get_buffer(name), part)
    mixtures = list(quantized_experts(loaded))
    assert len(mixtures) == 2
    for layer, experts in zip(whole.model.language_model.layers, mixtures, strict=True):
        for name in STACKS:
            weights = getattr(layer.mlp.experts, name)
            stack = Fp8Stack.of(weights) if how == "fp8" else Nf4Stack.of(weights)
            assert torch.equal(values_of(experts.stacks[name]), values_of(stack))
    described = describe(loaded)
    assert described["parameters"] == describe(whole)["parameters"]
    assert described["quantized_expert_layers"] == 2
    layers = loaded.model.language_model.layers
    if how == "nf4":
        assert not [part for part in layers.modules() if type(part) is torch.nn.Linear]
        return
    quantize_in_fp8(whole)
    assert described["kept_in_16_bits"] == describe(whole)["kept_in_16_bits"]
    pairs = list(zip(fp8_layers(loaded), fp8_layers(whole), strict=True))
    assert pairs
    assert all(torch.equal(left.codes.float(), right.codes.float()) for left, right in pairs)


def test_a_layer_is_quantized_before_the_next_one_is_read(tmp_path):
    whole, _ = tiny_model("qwen3_vl_moe")
    stored, stacks = dict(whole.named_parameters()), []
    model = model_without_weights(whole.config.to_dict(), dtype=torch.float32)

    def read(name, rows):
        stacks.append((name, sum(1 for _ in quantized_experts(model)), len(fp8_layers(model))))
        return stored[name]

    fill_quantized(model, read, FP8, torch.device("cpu"))
    order = [(count, linear) for name, count, linear in stacks if ".layers." in name]
    assert {count for count, _ in order} == {0, 1}
    assert order == sorted(order)
    assert [count for name, count, _ in stacks if ".layers.1." in name] == [1] * sum(".layers.1." in n for n in stored)
    assert not any(part.is_meta for part in [*model.parameters(), *model.buffers()])


def test_a_mixture_by_the_checkpoints_own_code_is_refused(tmp_path):
    write_tiny_checkpoint(tmp_path, "qwen3_vl_moe")
    change(tmp_path, auto_map={"AutoModel": "own.Model"})
    with pytest.raises(ConfigError, match="needs transformers' own model class"):
        load_model(tmp_path, quantize=FP8, trust_remote_code=True)


def test_a_quantized_checkpoint_is_not_quantized_again(tmp_path):
    write_tiny_checkpoint(tmp_path, "qwen3_vl_moe")
    change(tmp_path, quantization_config={"quant_method": "fp8"})
    with pytest.raises(ModelError, match="quantizes those of 16 bits; use the 16-bit checkpoint"):
        load_model(tmp_path, quantize=FP8)


def change(folder: Path, **values) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **values}))
