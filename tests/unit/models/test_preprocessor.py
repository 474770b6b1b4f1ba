import json

import pytest

from tests.fixtures.tiny_models import tiny_config
from texlens.core.errors import ConfigError, ModelError
from texlens.models.bundled import bundled_config
from texlens.models.families.qwen2_vl import CLIP_MEAN
from texlens.models.preprocessor import geometry_of, read_preprocessor


@pytest.mark.parametrize(
    ("name", "patch", "pixels", "mean"),
    [
        ("Qwen2-VL-2B-Instruct", 14, (3136, 12_845_056), CLIP_MEAN),
        ("Qwen2.5-VL-7B-Instruct", 14, (3136, 12_845_056), CLIP_MEAN),
        ("Qwen3-VL-4B-Instruct", 16, (65_536, 16_777_216), (0.5, 0.5, 0.5)),
        ("Qwen3-VL-30B-A3B-Instruct", 16, (65_536, 16_777_216), (0.5, 0.5, 0.5)),
    ],
)
def test_without_a_preprocessor_the_familys_defaults_are_used(name, patch, pixels, mean):
    geometry = geometry_of(bundled_config(name))

    assert (geometry.patch_size, geometry.merge_size, geometry.temporal_patch_size) == (patch, 2, 2)
    assert (geometry.min_pixels, geometry.max_pixels) == pixels
    assert geometry.mean == mean
    assert geometry.max_aspect == 200


@pytest.mark.parametrize(
    "settings",
    [
        {"min_pixels": 2048, "max_pixels": 8192},
        {"size": {"shortest_edge": 2048, "longest_edge": 8192}},
        {"size": {"min_pixels": 2048, "max_pixels": 8192}},
        {"min_pixels": 2048, "max_pixels": 8192, "size": {"shortest_edge": 1, "longest_edge": 2}},
    ],
)
def test_every_form_of_the_pixel_budget_is_read(settings):
    geometry = geometry_of(tiny_config("qwen3_vl"), settings)

    assert (geometry.min_pixels, geometry.max_pixels) == (2048, 8192)


def test_a_given_budget_overrides_the_checkpoints():
    geometry = geometry_of(tiny_config("qwen3_vl"), {"min_pixels": 2048, "max_pixels": 8192}, max_pixels=4096)

    assert (geometry.min_pixels, geometry.max_pixels) == (2048, 4096)


def test_the_checkpoints_patch_size_and_colors_override_the_familys():
    config = tiny_config("qwen3_vl")
    config["vision_config"]["patch_size"] = 8
    geometry = geometry_of(config, {"patch_size": 8, "image_mean": [0.1, 0.2, 0.3], "image_std": [1, 1, 1]})

    assert geometry.patch_size == 8
    assert geometry.mean == (0.1, 0.2, 0.3)
    assert geometry.std == (1, 1, 1)


def test_a_preprocessor_of_another_checkpoint_is_refused():
    with pytest.raises(ModelError, match=r"patch_size is 16, but preprocessor_config.json has 14"):
        geometry_of(tiny_config("qwen3_vl"), {"patch_size": 14})


def test_an_empty_budget_is_refused():
    with pytest.raises(ConfigError, match="min_pixels 9000 is over max_pixels 8000"):
        geometry_of(tiny_config("qwen3_vl"), min_pixels=9000, max_pixels=8000)


def test_a_budget_under_one_token_is_refused():
    with pytest.raises(ConfigError, match="max_pixels 1000 is less than one token of 32x32 pixels"):
        geometry_of(tiny_config("qwen3_vl"), min_pixels=10, max_pixels=1000)


def test_settings_nested_in_the_processors_file_are_read(tmp_path):
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": {"patch_size": 8}}))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"patch_size": 14}))

    assert read_preprocessor(tmp_path) == {"patch_size": 8}


def test_a_processors_file_without_image_settings_is_ignored(tmp_path):
    (tmp_path / "processor_config.json").write_text(json.dumps({"processor_class": "Qwen3VLProcessor"}))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"patch_size": 14}))

    assert read_preprocessor(tmp_path) == {"patch_size": 14}


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(ModelError, match=r"preprocessor_config.json: not valid JSON"):
        read_preprocessor(tmp_path)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"min_pixels": 10**14}, "min_pixels is 100000000000000"),
        ({"size": {"shortest_edge": 10**14}}, "size.shortest_edge is 100000000000000"),
        ({"size": [1]}, "size is [1]"),
        ({"max_pixels": "x"}, "max_pixels is x"),
        ({"patch_size": -1}, "patch_size is -1"),
        ({"image_mean": [0.5, None, 0.5]}, "image_mean is [0.5, None, 0.5]"),
        ({"image_std": 1}, "image_std is 1"),
    ],
)
def test_damaged_image_settings_are_one_line(settings, fault):
    with pytest.raises(ModelError) as caught:
        geometry_of(tiny_config("qwen3_vl"), settings)
    assert fault in str(caught.value)
