"""Linear layers in float8, computed by the reference product on the CPU."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_model
from texlens.kernels.fp8.quantize import quantize_rows
from texlens.models.fp8 import Fp8Linear, fp8_layers, quantize_in_fp8, quantize_together


def dequantized(layer: Fp8Linear) -> torch.Tensor:
    return layer.codes.float() * layer.scale[:, None]


def linear(inputs: int, outputs: int, *, bias: bool = True) -> nn.Linear:
    torch.manual_seed(inputs + outputs)
    return nn.Linear(inputs, outputs, bias=bias)


def relative_error(left: torch.Tensor, right: torch.Tensor) -> float:
    return ((left - right).norm() / right.norm()).item()


def test_outputs_and_gradients_are_close_to_those_of_the_original_layer():
    layer = linear(64, 48)
    quantized = Fp8Linear.from_linear(layer)
    results = []
    for module in (quantized, layer):
        x = torch.randn(2, 5, 64, generator=torch.Generator().manual_seed(1)).requires_grad_()
        y = module(x)
        (dx,) = torch.autograd.grad(y.square().sum(), x)
        assert y.shape == (2, 5, 48)
        results.append((y, dx))
    (y, dx), (y_exact, dx_exact) = results
    assert 0.005 < relative_error(y, y_exact) < 0.05
    assert 0.005 < relative_error(dx, dx_exact) < 0.08
    assert relative_error(dequantized(quantized), layer.weight) < 0.04


def test_an_expanded_gradient_gives_the_same_result():
    quantized = Fp8Linear.from_linear(linear(16, 32))
    x = torch.randn(3, 16, requires_grad=True)
    (expanded,) = torch.autograd.grad(quantized(x).sum(), x)
    (contiguous,) = torch.autograd.grad(quantized(x), x, torch.ones(3, 32))
    assert torch.equal(expanded, contiguous)


def test_layers_with_a_common_input_share_backward_scales():
    first, second = quantize_together([linear(32, 64, bias=False), linear(32, 16, bias=False)])
    assert first.back_scale is second.back_scale or torch.equal(first.back_scale, second.back_scale)
    assert (first.back_codes.shape, second.back_codes.shape) == ((32, 64), (32, 16))
    back = first.back_codes.float() * first.back_scale[:, None]
    assert relative_error(back.T, dequantized(first)) < 0.06


def test_weights_take_two_bytes_each_and_are_not_saved():
    quantized = Fp8Linear.from_linear(linear(64, 48))
    codes = [part for name, part in quantized.named_buffers() if "codes" in name]
    assert sum(part.nbytes for part in codes) == 2 * 64 * 48
    assert list(quantized.state_dict()) == ["bias"]
    assert not any(parameter.requires_grad for parameter in quantized.parameters())


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_5"])
def test_only_layers_of_the_language_model_are_quantized_by_default(family):
    model, _ = tiny_model(family)
    assert quantize_in_fp8(model) == ()
    kinds = {name: type(module) for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    assert {kind for name, kind in kinds.items() if "language_model" in name} == {Fp8Linear}
    assert {kind for name, kind in kinds.items() if "language_model" not in name} == {nn.Linear}
    assert len(fp8_layers(model)) == 2 * 7 + (1 if family == "qwen3_5" else 0)


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_blocks_of_the_vision_tower_are_quantized_on_request_and_mergers_are_not(family):
    model, _ = tiny_model(family)
    visual = model.model.visual
    assert all(name.endswith("shared_expert_gate") for name in quantize_in_fp8(model, vision=True))
    kinds = {name: type(module) for name, module in visual.named_modules() if isinstance(module, nn.Linear)}
    assert {kind for name, kind in kinds.items() if name.startswith("blocks.")} == {Fp8Linear}
    assert {kind for name, kind in kinds.items() if "merger" in name} == {nn.Linear}
    layer = visual.blocks[0].attn.qkv
    assert sum(part.nbytes for part in layer.buffers()) == 32 * 96 + 4 * 96


def test_an_mlp_of_the_tower_with_an_odd_width_keeps_16_bits_and_is_named():
    model, _ = tiny_model("qwen3_vl")
    model.model.visual.blocks[1].mlp.linear_fc1 = linear(32, 40)
    model.model.visual.blocks[1].mlp.linear_fc2 = linear(40, 32)
    names = [f"model.visual.blocks.1.mlp.linear_fc{number}" for number in (1, 2)]
    assert quantize_in_fp8(model, vision=True) == tuple(names)
    assert type(model.model.visual.blocks[1].attn.proj) is Fp8Linear


def test_without_backward_weights_results_are_constants():
    quantized, twice = Fp8Linear(linear(64, 48)), Fp8Linear.from_linear(linear(64, 48))
    x = torch.randn(5, 64, requires_grad=True)
    y = quantized(x)
    assert not y.requires_grad
    assert torch.equal(y, twice(x))
    assert torch.equal(y, quantized.product(*quantize_rows(x.detach())))


def test_a_layer_of_odd_width_and_those_with_its_input_keep_16_bits_and_are_named():
    model, _ = tiny_model("qwen3_vl")
    layer = model.model.language_model.layers[1]
    layer.self_attn.k_proj = linear(32, 24)
    layer.mlp.down_proj = linear(40, 32)
    names = [f"self_attn.{part}_proj" for part in "qkv"] + ["mlp.down_proj"]
    assert quantize_in_fp8(model) == tuple(f"model.language_model.layers.1.{name}" for name in names)
    assert type(layer.self_attn.q_proj) is nn.Linear
    assert type(layer.self_attn.o_proj) is Fp8Linear


def test_logits_are_close_to_those_of_the_unquantized_base():
    ids = torch.arange(1, 21)[None]
    model, _ = tiny_model("qwen3_vl")
    with torch.no_grad():
        exact = model(input_ids=ids).logits
        quantize_in_fp8(model)
        assert 0.01 < relative_error(model(input_ids=ids).logits, exact) < 0.2


def test_a_peft_adapter_has_the_compute_dtype_and_is_trained():
    model, _ = tiny_model("qwen3_vl")
    quantize_in_fp8(model)
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules=r".*language_model.*(q_proj|down_proj)"))
    layer = adapted.base_model.model.model.language_model.layers[0].self_attn.q_proj
    assert type(layer.base_layer) is Fp8Linear
    assert layer.lora_A["default"].weight.dtype == torch.float32
    adapted(input_ids=torch.arange(1, 21)[None]).logits.square().mean().backward()
    assert layer.lora_B["default"].weight.grad.abs().max() > 0
    assert layer.base_layer.codes.dtype == torch.float8_e4m3fn
