"""`texlens data plan`."""

import json

import pytest

from tests.unit.cli.data.calling import called
from texlens.core.errors import ConfigError, DataError


def test_a_family_that_there_is_not_is_named_with_those_there_are(folder):
    with pytest.raises(ConfigError, match=r"not one of qwen2-vl, qwen2.5-vl, qwen3-vl, qwen3-vl-moe"):
        called("plan", folder, "--family", "llava")
    assert json.loads(called("plan", folder, "--family", "Qwen2.5-VL", "--json"))["current"]["min_pixels"] == 3136


def test_a_plan_shows_both_budgets_and_the_settings_to_take(folder):
    output = called("plan", folder)
    assert "recommended" in output
    assert "--set model.min_pixels=" in output
    with pytest.raises(DataError, match="no split 'dev'"):
        called("plan", folder, "--split", "dev")
