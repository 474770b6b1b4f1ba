"""Memory of the engine, planned from the number of slots."""

import pytest
from transformers import AutoConfig

from texlens.core.errors import ConfigError
from texlens.inference.engine.plan import (
    GIB,
    EnginePlan,
    cache_bytes,
    engine_bytes,
    plan_for_memory,
    plan_for_rows,
    state_bytes,
)
from texlens.models.bundled import bundled_config
from texlens.models.meta_model import build_config


@pytest.fixture
def config():
    settings = dict(bundled_config("Qwen/Qwen3-VL-4B-Instruct"))
    return AutoConfig.for_model(settings.pop("model_type"), **settings)


def test_the_cache_holds_keys_and_values_of_every_position(config):
    plan = plan_for_rows(256, 320)
    assert plan.pages == 256 * 10
    assert cache_bytes(config, plan) == (2560 + 1) * 32 * 2 * 36 * 8 * 128 * 2


@pytest.mark.parametrize(("slots", "measured_gib"), [(256, 13.54), (512, 25.0)])
def test_the_plan_is_within_a_tenth_of_what_was_measured(config, slots, measured_gib):
    """Measured by benchmarks/reading_gpu.py on an H200, 2026-11-30."""
    assert engine_bytes(config, plan_for_rows(slots, 320)) / GIB == pytest.approx(measured_gib, rel=0.1)


@pytest.mark.parametrize("free_gib", [4, 12, 60, 130])
def test_a_plan_fits_into_what_is_free(config, free_gib):
    plan = plan_for_memory(config, free_gib * GIB, slots=256)
    assert engine_bytes(config, plan) <= free_gib * GIB
    assert plan.pages >= 32
    assert plan.slots == 256 or free_gib < 12


def test_too_little_memory_is_refused(config):
    with pytest.raises(ConfigError, match="too little to read a row"):
        plan_for_memory(config, GIB // 2, slots=256)


def test_a_row_of_qwen3_5_4b_has_50_mb_of_state_and_keys_in_every_fourth_layer():
    config = build_config(bundled_config("Qwen3.5-4B"))
    plan = EnginePlan(slots=9, pages=1, pages_per_slot=1)
    assert state_bytes(config, plan) == 10 * 51_511_296
    assert cache_bytes(config, plan) == 2 * 32 * 2 * 8 * 4 * 256 * 2


def test_plain_models_have_no_states():
    assert state_bytes(build_config(bundled_config("Qwen3-VL-4B-Instruct")), EnginePlan(1, 1, 1)) == 0
