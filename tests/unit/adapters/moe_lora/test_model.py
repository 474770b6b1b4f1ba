import pytest
import torch
from torch import nn

from texlens.adapters.moe_lora.layer import MoeLoraLayer


def build_layer(**options) -> MoeLoraLayer:
    torch.manual_seed(0)
    defaults = {"r": 2, "lora_alpha": 4, "lora_dropout": 0.0, "experts": 3, "top_k": None, "shared_expert": False}
    layer = MoeLoraLayer(nn.Linear(5, 4), "default", **{**defaults, **options})
    for part in layer.parameters():
        nn.init.normal_(part)
    return layer


def test_the_layer_turned_off_is_its_base():
    layer, x = build_layer(), torch.randn(6, 5)
    layer.enable_adapters(False)
    assert torch.equal(layer(x), layer.base_layer(x))


def test_merging_is_refused_with_the_reason():
    with pytest.raises(ValueError, match="weighs the experts for every token"):
        build_layer().merge()
