from types import SimpleNamespace

from texlens.models.families import FAMILIES, VisionAttributes

CONFIG = SimpleNamespace(full=[1, 3], window=112, taps=[2], positions=2304)


def test_a_tower_without_special_attributes_has_none():
    attributes = VisionAttributes()
    assert attributes.full_attention_blocks(CONFIG) is None
    assert attributes.window_size(CONFIG) is None
    assert attributes.deepstack_blocks(CONFIG) == []
    assert attributes.position_table_side(CONFIG) is None


def test_attributes_are_read_under_the_family_s_names():
    attributes = VisionAttributes("full", "window", "taps", "positions")
    assert attributes.full_attention_blocks(CONFIG) == [1, 3]
    assert attributes.window_size(CONFIG) == 112
    assert attributes.deepstack_blocks(CONFIG) == [2]
    assert attributes.position_table_side(CONFIG) == 48


def test_a_layer_has_the_group_whose_pattern_matches_its_whole_name():
    family = FAMILIES["qwen3_vl"]
    assert family.group_of("model.language_model.layers.3.mlp.up_proj") == "text-mlp"
    assert family.group_of("model.language_model.layers.3.mlp.up_proj.lora_A") is None


def test_names_on_the_command_line_and_of_the_text_config():
    family = FAMILIES["qwen2_5_vl"]
    assert (family.option, family.text_model_type) == ("qwen2.5-vl", "qwen2_5_vl_text")
