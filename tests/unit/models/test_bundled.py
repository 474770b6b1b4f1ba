import pytest

from texlens.models.bundled import bundled_config, bundled_names


def test_configs_of_the_recipes_checkpoints_are_bundled():
    assert bundled_names() == (
        "Qwen2-VL-2B-Instruct",
        "Qwen2.5-VL-3B-Instruct",
        "Qwen2.5-VL-7B-Instruct",
        "Qwen3-VL-2B-Instruct",
        "Qwen3-VL-30B-A3B-Instruct",
        "Qwen3-VL-4B-Instruct",
        "Qwen3-VL-8B-Instruct",
        "Qwen3.5-0.8B",
        "Qwen3.5-27B",
        "Qwen3.5-2B",
        "Qwen3.5-35B-A3B",
        "Qwen3.5-4B",
        "Qwen3.5-9B",
        "Qwen3.6-27B",
        "Qwen3.6-35B-A3B",
        "Qwen3.8-27B",
    )


@pytest.mark.parametrize("name", ["Qwen/Qwen3-VL-4B-Instruct", "/models/qwen3-vl-4b-instruct", "Qwen3-VL-4B-Instruct"])
def test_a_checkpoint_is_known_by_the_last_part_of_its_name(name):
    assert bundled_config(name)["text_config"]["hidden_size"] == 2560


def test_other_checkpoints_have_no_bundled_config():
    assert bundled_config("Qwen/Qwen3-VL-32B-Instruct") is None
