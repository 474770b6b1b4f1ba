"""The tower with packed weights compared with the tower module by module."""

import pytest
import torch

from tests.fixtures.tiny_models import tiny_model
from tests.unit.inference.engine.conftest import prompts_of, samples
from texlens.inference.engine.layers import cpu_vision
from texlens.inference.engine.layers.cpu_vision import can_pack
from texlens.inference.engine.layers.vision import InferenceVision
from texlens.inference.engine.prompt_pack import build_prompt_pack
from texlens.models.packed.forward import pack_spec

__all__ = ["samples"]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.bfloat16, 0.03)])
def test_features_equal_those_of_the_modules(dtype, tolerance, samples, monkeypatch):
    monkeypatch.setattr(cpu_vision, "product_dtype", lambda: dtype)
    model, processor = tiny_model("qwen3_vl")
    pack = build_prompt_pack(prompts_of(processor, samples), pack_spec(model.config, processor)).vision
    packed, plain = (InferenceVision(model.model.visual, processor, packs=packs) for packs in (True, False))

    with torch.no_grad():
        (ours, deepstack), (expected, expected_deepstack) = packed(dict(pack)), plain(dict(pack))

    assert len(deepstack) == len(expected_deepstack) > 0
    for features, reference in zip([ours, *deepstack], [expected, *expected_deepstack], strict=True):
        assert (features - reference).abs().max() < tolerance * reference.abs().max()


def test_towers_of_other_kinds_and_16_bits_are_left_to_the_modules():
    kinds = {family: can_pack(tiny_model(family)[0].model.visual) for family in ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")}
    half = tiny_model("qwen3_vl")[0].model.visual.bfloat16()

    assert kinds == {"qwen2_vl": False, "qwen2_5_vl": False, "qwen3_vl": True}
    assert not can_pack(half)
