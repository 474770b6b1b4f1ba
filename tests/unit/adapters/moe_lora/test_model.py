import pytest
import torch

from tests.unit.adapters.moe_lora.layers import build_layer


def test_the_layer_turned_off_is_its_base():
    layer, x = build_layer(), torch.randn(6, 5)
    layer.enable_adapters(False)
    assert torch.equal(layer(x), layer.base_layer(x))


def test_merging_is_refused_with_the_reason():
    with pytest.raises(ValueError, match="weighs the experts for every token"):
        build_layer().merge()
