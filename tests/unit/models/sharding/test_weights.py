import pytest
import torch

from tests.fixtures.tiny_models import tiny_model
from tests.unit.models.mixtures.quantized_stacks import quantize_model
from texlens.models.sharding.weights import (
    chunk,
    divided_parameters,
    is_divided_name,
    stock_name,
)

LAYER = "model.language_model.layers.0"


@pytest.mark.parametrize(
    ("name", "is_divided"),
    [
        (".self_attn.q_proj.weight", True),
        (".self_attn.q_proj.base_layer.weight", True),
        (".self_attn.q_proj.lora_A.default.weight", False),
        (".self_attn.q_proj.bias", False),
        (".mlp.gate.weight", False),
        (".mlp.experts.gate_up_proj", True),
        (".mlp.experts.base_layer.base_layer.down_proj", True),
        (".mlp.shared_expert.up_proj.weight", True),
        (".linear_attn.in_proj_qkv.weight", True),
        (".linear_attn.conv1d.weight", False),
        (".input_layernorm.weight", False),
    ],
)
def test_matrices_are_divided_and_small_weights_are_not(name, is_divided):
    assert is_divided_name(name) == is_divided


def test_stacks_can_be_left_out():
    assert not is_divided_name(".mlp.experts.gate_up_proj", stacks=False)


def test_names_are_those_before_peft():
    assert stock_name(f"{LAYER}.mlp.up_proj.base_layer.weight") == f"{LAYER}.mlp.up_proj.weight"


def test_divided_parameters_of_a_layer_have_their_names_in_the_model():
    model, _ = tiny_model("qwen3_vl_moe")
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    layer = model.model.language_model.layers[0]
    divided = dict(divided_parameters(layer, 0))
    assert set(divided) == {
        *(f"{LAYER}.self_attn.{name}_proj.weight" for name in "qkvo"),
        f"{LAYER}.mlp.experts.gate_up_proj",
        f"{LAYER}.mlp.experts.down_proj",
    }
    assert divided[f"{LAYER}.mlp.experts.down_proj"] is layer.mlp.experts.down_proj


def test_quantized_experts_have_no_divided_parameters_in_16_bits():
    model, _ = tiny_model("qwen3_vl_moe")
    layer = quantize_model(model, "fp8").requires_grad_(False).model.language_model.layers[0]
    assert {name.rpartition(".")[0] for name in dict(divided_parameters(layer, 0))} == {
        f"{LAYER}.self_attn.{name}_proj" for name in "qkvo"
    }


@pytest.mark.parametrize(("length", "processes"), [(10, 4), (3, 4), (8, 2), (1, 1), (9, 8)])
def test_rows_are_divided_as_by_torch(length, processes):
    parts = torch.arange(length).chunk(processes)
    for rank in range(processes):
        rows = torch.arange(length)[chunk(length, rank, processes)]
        assert rows.tolist() == (parts[rank].tolist() if rank < len(parts) else [])
