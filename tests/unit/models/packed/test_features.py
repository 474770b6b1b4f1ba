"""Packs whose images come partly or wholly as kept features, against the tower."""

from dataclasses import replace

import pytest
import torch

from tests.fixtures.drawn_images import drawn
from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_model
from tests.unit.models.packed.packs import ROWS
from texlens.data.sample import LazyImage, Sample
from texlens.inputs.example import build_example
from texlens.inputs.image_patches import image_to_raw_patches
from texlens.inputs.pack import build_pack
from texlens.models.fp8 import quantize_in_fp8
from texlens.models.packed.forward import pack_spec, packed_forward
from texlens.training.feature_cache import feature_store


def images(numbers=(0, 1, 2, 3)) -> list[LazyImage]:
    return [LazyImage.from_bytes(drawn(*ROWS[number][0], number)) for number in numbers]


def examples(processor, store=None):
    first, *others = images()
    rows = [Sample("two", first, "x", more_images=(others[0],)), *(Sample("one", image, "y") for image in others[1:])]
    tools = processor.tokenizer, processor.geometry, "Read."
    return [build_example(row, *tools, pixels=True, patchify=image_to_raw_patches, store=store) for row in rows]


@pytest.mark.parametrize("padding", [1, 128])
@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_kept_features_are_the_towers_in_each_images_own_order(family, padding, tmp_path, monkeypatch):
    monkeypatch.setenv("TEXLENS_CACHE", str(tmp_path))
    model, processor = tiny_model(family)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    layout = pack_spec(model.config, processor, padded=padding > 1)
    without = packed_forward(model, processor.geometry)
    expected = without.image_features(build_pack(examples(processor), layout))
    store = feature_store(without, processor.geometry)
    keeping = replace(without, store=store)

    outputs = keeping.image_features(build_pack(examples(processor, store), layout))
    assert all(map(torch.equal, outputs, expected))
    cached = build_pack(examples(processor, store), layout)
    assert "patches" not in cached
    assert all(map(torch.equal, keeping.image_features(cached), expected))

    for image in images([0, 2]):
        store.path(store.key(image)).unlink()
    attn_out = build_pack(examples(processor, store), layout)
    assert [key for key, _, _ in attn_out["new_images"]] == [store.key(image) for image in images([0, 2])]
    for part, other in zip(keeping.image_features(attn_out), expected, strict=True):
        torch.testing.assert_close(part, other, atol=1e-5, rtol=1e-5)
    assert all(example.patches is None for example in examples(processor, store))


def test_other_weights_and_another_pixel_budget_have_other_features():
    (model, processor), (other, _) = tiny_model("qwen3_vl"), tiny_model("qwen3_vl", seed=1)
    folder = feature_store(packed_forward(model, processor.geometry), processor.geometry).folder
    budget = replace(processor.geometry, max_pixels=64 * 64, min_pixels=32 * 32)
    assert feature_store(packed_forward(other, processor.geometry), processor.geometry).folder != folder
    assert feature_store(packed_forward(model, budget), budget).folder != folder
    with torch.no_grad():
        model.model.language_model.norm.weight += 1
    assert feature_store(packed_forward(model, processor.geometry), processor.geometry).folder == folder
    with torch.no_grad():
        model.model.visual.merger.norm.bias[0] += 1
    assert feature_store(packed_forward(model, processor.geometry), processor.geometry).folder != folder


def test_a_tower_in_fp8_has_other_features_than_in_16_bits_or_of_other_weights():
    folders = set()
    for seed in (0, 1):
        for vision in (False, True):
            model, processor = tiny_model("qwen3_vl", seed=seed)
            model.model.visual.merger.load_state_dict(tiny_model("qwen3_vl")[0].model.visual.merger.state_dict())
            quantize_in_fp8(model, vision=vision)
            folders.add(feature_store(packed_forward(model, processor.geometry), processor.geometry).folder)
    assert len(folders) == 4
