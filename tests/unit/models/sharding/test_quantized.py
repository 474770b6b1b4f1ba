"""Codes that a process keeps; between processes: tests/integration/test_divided.py."""

import pytest
import torch

from tests.fixtures.tiny_models import tiny_model
from tests.unit.models.mixtures.quantized_stacks import quantize_model
from tests.unit.models.packed.test_nf4 import needs_bitsandbytes, save_wide
from texlens.config.quantize import QuantizeSettings
from texlens.models.fp8 import quantize_linear_layers
from texlens.models.load import load_model
from texlens.models.sharding.division import Division
from texlens.models.sharding.quantized import CodeRows, as_words, code_parameters, codes_of_layer
from texlens.models.weight_rows.placeholders import is_placeholder
from texlens.models.weight_rows.rows import no_rows

LAYER = "model.language_model.layers.0"


def quantized_layer(kind: str):
    model, _ = tiny_model("qwen3_vl_moe")
    quantize_linear_layers(model)
    return quantize_model(model, kind).model.language_model.layers[0]


@pytest.mark.parametrize(("kind", "codes"), [("fp8", "codes"), ("nf4", "packed")])
def test_codes_have_names_of_their_own_and_stacks_can_be_left_out(kind, codes):
    layer = quantized_layer(kind)
    dense = {f"{LAYER}.self_attn.{name}_proj.{side}" for name in "qkvo" for side in ("codes", "back_codes")}
    stacks = {f"{LAYER}.mlp.experts.stacks.{name}_stack.{codes}" for name in ("gate_up_proj", "down_proj")}
    assert {part.name for part in codes_of_layer(layer, LAYER)} == dense | stacks
    assert {part.name for part in codes_of_layer(layer, LAYER, stacks=False)} == dense


@pytest.mark.parametrize("kind", ["fp8", "nf4 with quantized scales"])
def test_each_process_keeps_its_rows_and_all_together_are_the_codes(kind):
    expected = {part.name: as_words(part.tensor).clone() for part in codes_of_layer(quantized_layer(kind), LAYER)}
    rows = {name: [] for name in expected}
    for rank in range(3):
        layer, division = quantized_layer(kind), Division(True, False, rank, 3)
        code_rows = CodeRows(division, no_rows)
        code_rows.keep(layer, LAYER)
        assert all(is_placeholder(part.tensor) for part in codes_of_layer(layer, LAYER))
        names = [part.name for part in codes_of_layer(layer, LAYER)]
        for name, parameter in zip(names, code_parameters(layer, LAYER, division, code_rows), strict=True):
            assert (parameter.dtype, parameter.requires_grad) == (torch.float32, False)
            size = -(-len(expected[name]) // 3)
            rows[name].append(parameter[rank * size : (rank + 1) * size])
    joined = {name: torch.cat(parts) for name, parts in rows.items()}
    assert all(torch.equal(joined[name].view(torch.uint8), expected[name].view(torch.uint8)) for name in expected)


@needs_bitsandbytes
def test_layer_in_4_bits_stays_one_that_peft_knows(tmp_path):
    save_wide(tmp_path, "qwen3_vl")
    model = load_model(tmp_path, device="cpu", quantize=QuantizeSettings(quantize="nf4"))
    layer = model.model.language_model.layers[0]
    weight, values = layer.mlp.up_proj.weight, layer.mlp.up_proj.weight.clone()
    code_rows = CodeRows(Division(True, False, 1, 2), no_rows)
    code_rows.keep(layer, LAYER)
    left = layer.mlp.up_proj.weight
    assert (type(left), left.quant_type, left.quant_state) == (type(weight), "nf4", weight.quant_state)
    name = f"{LAYER}.mlp.up_proj.weight"
    assert torch.equal(code_rows(name, slice(0)).view(-1).view(torch.uint8), values.flatten()[len(values) // 2 :])
