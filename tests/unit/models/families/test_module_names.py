import re

from texlens.models.families.module_names import ATTENTION_LAYERS, MERGER_MODULES, MLP_LAYERS, linear_groups


def test_groups_are_those_of_all_linear():
    groups = linear_groups(r"attn\.qkv", r"model\.visual\.merger\.mlp\.0")
    assert list(groups) == ["text-attention", "text-mlp", "vision", "merger"]
    assert re.fullmatch(groups["vision"], "model.visual.blocks.11.attn.qkv")


def test_patterns_match_layers_and_not_their_norms():
    assert re.fullmatch(ATTENTION_LAYERS, "model.language_model.layers.10.self_attn.o_proj")
    assert not re.fullmatch(ATTENTION_LAYERS, "model.language_model.layers.10.self_attn.q_norm")
    assert re.fullmatch(MLP_LAYERS, "model.language_model.layers.0.mlp.down_proj")
    assert re.fullmatch(MERGER_MODULES, "model.visual.deepstack_merger_list.2")
