"""Products over weights that are read from their modules at each use."""

import torch

from tests.fixtures.tiny_models import tiny_model
from tests.unit.models.packed.packs import adapted
from texlens.models.families.expert_stacks import base_experts
from texlens.models.packed.gathered import GatheredExperts, GatheredLinear
from texlens.models.packed.projections import base_of, stack
from texlens.models.packed.weight_buffer import WeightBuffer


def attention_layers():
    model, _ = tiny_model("qwen3_vl")
    adapted(model)
    attention = model.model.language_model.layers[0].self_attn
    return [attention.q_proj, attention.k_proj, attention.v_proj]


def test_gathered_product_has_the_augmented_weight_of_a_stacked_one():
    buffer = WeightBuffer()
    gathered = GatheredLinear(attention_layers(), buffer)
    other = GatheredLinear(attention_layers(), buffer)
    expected = stack(attention_layers()).augmented_weight()
    assert torch.equal(gathered.augmented_weight(), expected)
    other.augmented_weight()
    assert buffer.owner is other
    assert torch.equal(gathered.augmented_weight(), expected)


def test_replaced_parameter_is_read_at_the_next_use():
    layers = attention_layers()
    gathered = GatheredLinear(layers, WeightBuffer())
    base = base_of(layers[0])
    base.weight = torch.nn.Parameter(torch.ones_like(base.weight), requires_grad=False)
    assert bool((gathered.augmented_weight()[: base.out_features, : base.in_features] == 1).all())


def test_single_layer_without_an_adapter_needs_no_copy():
    layer = base_of(attention_layers()[0])
    gathered = GatheredLinear([layer], WeightBuffer())
    assert gathered.augmented_weight().data_ptr() == layer.weight.data_ptr()


def test_experts_without_adapters_are_the_stack_itself():
    experts = base_experts(tiny_model("qwen3_vl_moe")[0].model.language_model.layers[0].mlp)
    gathered = GatheredExperts(experts, "down_proj", None, WeightBuffer())
    assert gathered.augmented_weight().data_ptr() == experts.down_proj.data_ptr()
    assert (gathered.height, gathered.width) == tuple(experts.down_proj.shape[1:])
