"""Modules that can not be saved whole, and a tower in fp8."""

import pytest

from tests.fixtures.tiny_models import tiny_config
from texlens.adapters.build import build_plan
from texlens.adapters.checks import check_modules_to_save, check_quantized_vision
from texlens.config.adapter import LoraSettings
from texlens.config.quantize import QuantizeSettings
from texlens.core.errors import ConfigError
from texlens.models.families import FAMILIES


def test_a_module_that_the_base_packs_can_not_be_trained_whole():
    config, family = tiny_config("qwen3_vl"), FAMILIES["qwen3_vl"]
    settings = LoraSettings(rank=2, targets=("q_proj",), modules_to_save=("model.language_model.layers.1.mlp",))
    plan = build_plan(settings, family, config)
    check_modules_to_save(plan, "none", config)
    with pytest.raises(ConfigError, match=r"layers\.1\.mlp has weights that base\.quantize: fp8 packs.*remove it"):
        check_modules_to_save(plan, "fp8", config)
    embedding = build_plan(LoraSettings(rank=2, modules_to_save=("embed_tokens", "lm_head")), family, config)
    check_modules_to_save(embedding, "fp8", config)


def test_a_tower_held_in_fp8_can_not_be_trained_and_its_merger_can():
    config, family = tiny_config("qwen3_vl"), FAMILIES["qwen3_vl"]
    base = QuantizeSettings(quantize="fp8", quantize_vision=True)
    adapted = build_plan(LoraSettings(rank=2, targets=("all-linear",)), family, config)
    with pytest.raises(ConfigError, match=r"12 layers of the vision tower can't be trained.*freeze the tower"):
        check_quantized_vision(adapted, base)
    check_quantized_vision(adapted, QuantizeSettings(quantize="fp8"))
    with pytest.raises(ConfigError, match=r"needs base\.quantize: fp8, and this is nf4"):
        check_quantized_vision(adapted, QuantizeSettings(quantize="nf4", quantize_vision=True))
    normalization = build_plan(LoraSettings(rank=2, modules_to_save=("model.visual.blocks.1.norm1",)), family, config)
    with pytest.raises(ConfigError, match=r"modules_to_save: model\.visual\.blocks\.1\.norm1 can't be trained"):
        check_quantized_vision(normalization, base)
    check_quantized_vision(build_plan(LoraSettings(rank=2, merger="full"), family, config), base)
