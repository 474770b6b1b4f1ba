"""The table of families against the classes of transformers."""

import re

import pytest
import torch

from texlens.core.errors import ModelError
from texlens.models.bundled import bundled_config
from texlens.models.families import ALL_LINEAR, FAMILIES, HEAD, PATCH_EMBEDDING, family_of
from texlens.models.meta_model import meta_model

ONE_OF_EACH = {
    "qwen2_vl": "Qwen2-VL-2B-Instruct",
    "qwen2_5_vl": "Qwen2.5-VL-3B-Instruct",
    "qwen3_vl": "Qwen3-VL-4B-Instruct",
    "qwen3_vl_moe": "Qwen3-VL-30B-A3B-Instruct",
}


def linear_names(model: torch.nn.Module) -> set[str]:
    return {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}


@pytest.mark.parametrize("model_type", FAMILIES)
def test_every_linear_layer_but_the_head_belongs_to_a_group(model_type):
    family = FAMILIES[model_type]
    model = meta_model(bundled_config(ONE_OF_EACH[model_type]))

    assert {name for name in linear_names(model) if family.group_of(name) is None} == {HEAD}
    assert type(model).__name__ == family.class_name
    assert isinstance(model.get_submodule(PATCH_EMBEDDING), torch.nn.Conv3d)


@pytest.mark.parametrize(
    ("model_type", "counts"),
    [
        ("qwen2_vl", {"text-attention": 4 * 28, "text-mlp": 3 * 28, "vision": 4 * 32, "merger": 2}),
        ("qwen2_5_vl", {"text-attention": 4 * 36, "text-mlp": 3 * 36, "vision": 5 * 32, "merger": 2}),
        ("qwen3_vl", {"text-attention": 4 * 36, "text-mlp": 3 * 36, "vision": 4 * 24, "merger": 2 * 4}),
        ("qwen3_vl_moe", {"text-attention": 4 * 48, "vision": 4 * 27, "merger": 2 * 4}),
    ],
)
def test_groups_match_as_many_layers_as_the_checkpoint_has(model_type, counts):
    family = FAMILIES[model_type]
    groups = [family.group_of(name) for name in linear_names(meta_model(bundled_config(ONE_OF_EACH[model_type])))]

    assert {group: groups.count(group) for group in ALL_LINEAR if group in groups} == counts


def test_experts_are_stacked_parameters_and_the_router_is_a_module():
    family = FAMILIES["qwen3_vl_moe"]
    model = meta_model(bundled_config("Qwen3-VL-30B-A3B-Instruct"))
    shapes = {tuple(p.shape) for name, p in model.named_parameters() if family.is_expert(name)}
    routers = [name for name, _ in model.named_modules() if re.fullmatch(family.router, name)]

    assert shapes == {(128, 1536, 2048), (128, 2048, 768)}
    assert len(routers) == 48


def test_dense_families_have_no_experts():
    assert not FAMILIES["qwen3_vl"].is_expert("model.language_model.layers.0.mlp.experts.down_proj")


def test_an_unknown_family_is_refused_with_the_known_ones_named():
    with pytest.raises(ModelError, match=r"llava/config.json: model_type 'llava'.*qwen2_vl, qwen2_5_vl, qwen3_vl"):
        family_of({"model_type": "llava"}, "llava/config.json")


def test_a_config_without_a_model_type_is_refused():
    with pytest.raises(ModelError, match="no model_type in it"):
        family_of({"hidden_size": 8})
