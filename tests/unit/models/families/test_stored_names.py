"""Names of tensors in checkpoints of all ages."""

import pytest

from texlens.models.families.stored_names import parameter_name


@pytest.mark.parametrize(
    ("stored", "name"),
    [
        ("model.layers.0.mlp.up_proj.weight", "model.language_model.layers.0.mlp.up_proj.weight"),
        ("visual.blocks.0.attn.qkv.weight", "model.visual.blocks.0.attn.qkv.weight"),
        ("model.language_model.norm.weight", "model.language_model.norm.weight"),
        ("lm_head.weight", "lm_head.weight"),
    ],
)
def test_older_checkpoints_names_are_those_of_the_model(stored, name):
    assert parameter_name(stored) == name
