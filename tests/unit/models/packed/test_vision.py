"""Adapters in the vision tower."""

import pytest

from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_model
from tests.unit.models.packed.packs import adapted, gradients, pack_of, stock_loss, worst
from texlens.models.packed.forward import packed_forward


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_layers_module_by_module_do_too_and_vision_adapters_take_part(family):
    model, processor = tiny_model(family)
    trained = adapted(model, target_modules=r".*(visual\.blocks.*(qkv|proj)|language_model.*(q_proj|o_proj))$")
    expected = gradients(stock_loss(trained, processor), trained)
    forward = packed_forward(trained.base_model.model, processor.geometry, fused=False)
    results = gradients(forward.loss(pack_of(model, processor)) / 7, trained)
    assert any("visual" in name for name in results)
    assert worst(results, expected) < 2e-5
