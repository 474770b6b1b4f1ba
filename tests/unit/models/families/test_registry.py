"""Every family compared with its classes in transformers."""

import re
from types import SimpleNamespace

import pytest
import torch

from texlens.core.errors import ConfigError, ModelError
from texlens.models.bundled import bundled_config
from texlens.models.families import (
    ALL_LINEAR,
    FAMILIES,
    HEAD,
    MERGER_MODULES,
    PATCH_EMBEDDING,
    family_from_option,
    family_of,
    family_of_text,
    option_names,
)
from texlens.models.meta_model import build_config, meta_model

ONE_OF_EACH = {
    "qwen2_vl": "Qwen2-VL-2B-Instruct",
    "qwen2_5_vl": "Qwen2.5-VL-3B-Instruct",
    "qwen3_vl": "Qwen3-VL-4B-Instruct",
    "qwen3_vl_moe": "Qwen3-VL-30B-A3B-Instruct",
    "qwen3_5": "Qwen3.5-4B",
    "qwen3_5_moe": "Qwen3.5-35B-A3B",
}


def linear_names(model: torch.nn.Module) -> set[str]:
    return {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}


@pytest.mark.parametrize("model_type", FAMILIES)
def test_every_linear_layer_but_the_head_belongs_to_a_group(model_type):
    family = FAMILIES[model_type]
    model = meta_model(bundled_config(ONE_OF_EACH[model_type]))

    outside = {name for name in linear_names(model) if family.group_of(name) is None}
    assert {name for name in outside if not (family.uncovered and re.fullmatch(family.uncovered, name))} == {HEAD}
    assert type(model).__name__ == family.class_name
    assert isinstance(model.get_submodule(PATCH_EMBEDDING), torch.nn.Conv3d)


@pytest.mark.parametrize(
    ("model_type", "counts"),
    [
        ("qwen2_vl", {"text-attention": 4 * 28, "text-mlp": 3 * 28, "vision": 4 * 32, "merger": 2}),
        ("qwen2_5_vl", {"text-attention": 4 * 36, "text-mlp": 3 * 36, "vision": 5 * 32, "merger": 2}),
        ("qwen3_vl", {"text-attention": 4 * 36, "text-mlp": 3 * 36, "vision": 4 * 24, "merger": 2 * 4}),
        ("qwen3_vl_moe", {"text-attention": 4 * 48, "vision": 4 * 27, "merger": 2 * 4}),
        ("qwen3_5", {"text-attention": 5 * 24 + 4 * 8, "text-mlp": 3 * 32, "vision": 4 * 24, "merger": 2}),
        ("qwen3_5_moe", {"text-attention": 5 * 30 + 4 * 10, "text-mlp": 3 * 40, "vision": 4 * 27, "merger": 2}),
    ],
)
def test_groups_match_as_many_layers_as_the_checkpoint_has(model_type, counts):
    family = FAMILIES[model_type]
    groups = [family.group_of(name) for name in linear_names(meta_model(bundled_config(ONE_OF_EACH[model_type])))]

    assert {group: groups.count(group) for group in ALL_LINEAR if group in groups} == counts


@pytest.mark.parametrize(
    ("model_type", "expected", "layers"),
    [
        ("qwen3_vl_moe", {(128, 1536, 2048), (128, 2048, 768)}, 48),
        ("qwen3_5_moe", {(256, 1024, 2048), (256, 2048, 512)}, 40),
    ],
)
def test_experts_are_stacked_parameters_and_the_router_is_a_module(model_type, expected, layers):
    family = FAMILIES[model_type]
    model = meta_model(bundled_config(ONE_OF_EACH[model_type]))
    shapes = {tuple(p.shape) for name, p in model.named_parameters() if family.is_expert(name)}
    routers = [name for name, _ in model.named_modules() if re.fullmatch(family.router, name)]

    assert shapes == expected
    assert len(routers) == layers


def test_dense_families_have_no_experts():
    assert not FAMILIES["qwen3_vl"].is_expert("model.language_model.layers.0.mlp.experts.down_proj")


def test_an_unknown_family_is_refused_with_the_known_ones_named():
    with pytest.raises(ModelError, match=r"llava/config.json: model_type 'llava'.*qwen2_vl, qwen2_5_vl, qwen3_vl"):
        family_of({"model_type": "llava"}, "llava/config.json")


def test_a_config_without_a_model_type_is_refused():
    with pytest.raises(ModelError, match="no model_type in it"):
        family_of({"hidden_size": 8})


@pytest.mark.parametrize("model_type", FAMILIES)
def test_a_language_model_s_config_gives_its_family(model_type):
    config = build_config(bundled_config(ONE_OF_EACH[model_type]))

    assert family_of_text(config.text_config) is FAMILIES[model_type]


def test_the_language_model_of_an_unknown_family_is_refused():
    with pytest.raises(ModelError, match="'llama'"):
        family_of_text(SimpleNamespace(model_type="llama"))


@pytest.mark.parametrize("model_type", FAMILIES)
def test_default_rope_sections_and_layout_equal_those_of_the_published_checkpoint(model_type):
    family, text = FAMILIES[model_type], build_config(bundled_config(ONE_OF_EACH[model_type])).text_config

    assert list(family.rope_sections) == text.rope_parameters["mrope_section"]
    assert (family.rope_layout == "interleaved") == text.rope_parameters.get("mrope_interleaved", False)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_head_norms_are_where_the_class_has_them(model_type):
    names = {name.rpartition(".")[2] for name, _ in meta_model(bundled_config(ONE_OF_EACH[model_type])).named_modules()}

    assert FAMILIES[model_type].head_norms == ("q_norm" in names)


@pytest.mark.parametrize(
    ("model_type", "full_attention", "window", "deepstack", "table_side"),
    [
        ("qwen2_vl", None, None, [], None),
        ("qwen2_5_vl", [7, 15, 23, 31], 112, [], None),
        ("qwen3_vl", None, None, [5, 11, 17], 48),
        ("qwen3_vl_moe", None, None, [8, 16, 24], 48),
        ("qwen3_5", None, None, [], 48),
        ("qwen3_5_moe", None, None, [], 48),
    ],
)
def test_vision_attributes_are_read_from_the_config(model_type, full_attention, window, deepstack, table_side):
    attributes, config = (
        FAMILIES[model_type].vision,
        build_config(bundled_config(ONE_OF_EACH[model_type])).vision_config,
    )

    assert attributes.full_attention_blocks(config) == full_attention
    assert attributes.window_size(config) == window
    assert attributes.deepstack_blocks(config) == deepstack
    assert attributes.position_table_side(config) == table_side


def test_the_modules_of_the_merger_are_found_by_name():
    names = [name for name, _ in meta_model(bundled_config("Qwen3-VL-4B-Instruct")).named_modules()]

    assert [name for name in names if re.fullmatch(MERGER_MODULES, name)] == [
        "model.visual.merger",
        *(f"model.visual.deepstack_merger_list.{number}" for number in range(3)),
    ]


def test_families_are_written_with_dots_and_dashes_on_the_command_line():
    assert option_names() == ("qwen2-vl", "qwen2.5-vl", "qwen3-vl", "qwen3-vl-moe", "qwen3.5", "qwen3.5-moe")


@pytest.mark.parametrize("name", ["qwen2.5-vl", "Qwen2.5-VL", "qwen2_5_vl"])
def test_a_family_is_found_by_any_spelling_of_its_name(name):
    assert family_from_option(name) is FAMILIES["qwen2_5_vl"]


def test_an_unknown_family_on_the_command_line_is_refused_with_the_known_ones_named():
    with pytest.raises(ConfigError, match=r"--family llava: not one of qwen2-vl, qwen2\.5-vl"):
        family_from_option("llava")
