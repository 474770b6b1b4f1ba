import pytest
import torch
from torch import nn

from texlens.training.optimizer_groups import GroupLearningRates, layer_name, parameter_groups

GROUPS = {"text-attention": r"model\.layers\.\d+\.q_proj", "vision": r"model\.visual\.blocks\.\d+\.qkv"}


def named(*names: str) -> list[tuple[str, nn.Parameter]]:
    return [(name, nn.Parameter(torch.zeros(2, 2))) for name in names]


def groups_of(parameters, **options) -> list[tuple[float, float, int]]:
    groups = parameter_groups(
        parameters, learning_rate=1e-4, weight_decay=0.1, overrides=GroupLearningRates(GROUPS, **options)
    )
    return [(group["lr"], group["weight_decay"], len(group["params"])) for group in groups]


def test_without_overrides_all_parameters_are_one_group():
    assert groups_of(named("a.lora_A.default.weight", "b.lora_B.default.weight")) == [(1e-4, 0.1, 2)]


def test_group_has_its_own_learning_rate_and_lora_plus_raises_that_of_b():
    parameters = named(
        "base_model.model.model.layers.0.q_proj.lora_A.default.weight",
        "base_model.model.model.layers.0.q_proj.lora_B.default.weight",
        "base_model.model.model.visual.blocks.0.qkv.moe_lora_B.default.weight",
        "base_model.model.model.layers.0.mlp.experts.base_layer.lora_A.default.weight",
        "base_model.model.model.visual.merger.modules_to_save.default.linear_fc1.weight",
    )
    groups = groups_of(parameters, learning_rates={"vision": 1e-5, "experts": 2e-5, "merger": 3e-5}, lora_plus_ratio=16)
    assert groups == [
        (1e-4, 0.1, 1),
        (pytest.approx(16e-4), 0.1, 1),
        (pytest.approx(16e-5), 0.1, 1),
        (2e-5, 0.1, 1),
        (3e-5, 0.1, 1),
    ]


def test_vectors_have_no_weight_decay_and_frozen_parameters_are_left_out():
    magnitude, frozen = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2, 2), requires_grad=False)
    assert groups_of([("a.lora_magnitude_vector.default.weight", magnitude), ("a.weight", frozen)]) == [(1e-4, 0.0, 1)]


@pytest.mark.parametrize(
    ("parameter", "layer"),
    [
        ("base_model.model.model.visual.blocks.0.qkv.lora_A.default.weight", "model.visual.blocks.0.qkv"),
        ("base_model.model.lm_head.modules_to_save.default.weight", "lm_head"),
        ("model.language_model.layers.1.mlp.up_proj.weight", "model.language_model.layers.1.mlp.up_proj"),
        ("base_model.model.model.layers.0.experts.base_layer.lora_B.default.weight", "model.layers.0.experts"),
    ],
)
def test_layer_name_of_a_parameter(parameter, layer):
    assert layer_name(parameter) == layer
