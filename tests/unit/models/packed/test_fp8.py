"""Fused layers over a base in float8, against the same codes module by module and against 16-bit weights."""

import pytest
import torch

from tests.fixtures.tiny_models import tiny_model
from tests.unit.models.packed.test_forward import DENSE, adapted, gradients, pack_of
from texlens.models.fp8 import fp8_layers, quantise_in_fp8
from texlens.models.packed.forward import packed_forward

EVERY = r".*language_model\..*\.(q|k|v|o|gate|up|down)_proj$"


def in_fp8(family):
    model, processor = tiny_model(family)
    kept = quantise_in_fp8(model)
    return adapted(model, target_modules=EVERY), model, processor, kept


def angle(left: dict, right: dict) -> float:
    one, other = (torch.cat([side[name].flatten() for name in sorted(left)]) for side in (left, right))
    return float(torch.nn.functional.cosine_similarity(one, other, 0))


@pytest.mark.parametrize("recompute", ["none", "mlp", "full"])
@pytest.mark.parametrize("family", DENSE)
def test_fused_layers_over_codes_come_near_the_modules_over_the_same_codes(family, recompute):
    trained, model, processor, kept = in_fp8(family)
    if kept:
        pytest.skip("a width of the tiny model is no multiple of 16")
    pack = pack_of(model, processor)
    modules = packed_forward(trained.base_model.model, processor.geometry, fused=False)
    expected = modules.loss(pack) / 7
    slopes = gradients(expected, trained)
    forward = packed_forward(trained.base_model.model, processor.geometry, passes="cpu", recompute=recompute)
    assert forward.text.unfused == {}
    loss = forward.loss(pack) / 7
    torch.testing.assert_close(loss, expected, rtol=0.02, atol=0)
    # Either way slopes err by the rounding of 8-bit rows; by other seeds they lie 0.92 to 0.98 from exact ones.
    assert angle(gradients(loss, trained), slopes) > 0.85


def test_the_modules_codes_are_parts_of_the_products():
    trained, _, processor, _ = in_fp8("qwen3_vl")
    before = [layer.dequantised() for layer in fp8_layers(trained)]
    packed_forward(trained.base_model.model, processor.geometry, passes="cpu")
    layers = fp8_layers(trained)
    for layer, weight in zip(layers, before, strict=True):
        assert torch.equal(layer.dequantised(), weight)
    storage = layers[0].codes.untyped_storage().data_ptr()
    assert layers[1].codes.untyped_storage().data_ptr() == storage


def test_there_is_no_plain_form_over_codes():
    trained, _, processor, _ = in_fp8("qwen3_vl")
    forward = packed_forward(trained.base_model.model, processor.geometry)
    assert set(forward.text.unfused.values()) == {"8-bit layers, for which there is no plain form"}
