"""Sizes that no model has are refused before anything is built."""

import pytest

from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_config
from texlens.models.checks.config_limits import config_fault


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_config_of_each_family_is_sound(family):
    assert config_fault(tiny_config(family)) is None


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        ({"num_hidden_layers": 10**7}, "num_hidden_layers is 10,000,000, over the 1,024"),
        ({"text_config": {"num_hidden_layers": "x"}}, "text_config.num_hidden_layers is not a whole number"),
        ({"vision_config": {"depth": 10**30}}, "vision_config.depth is an integer of many digits"),
        ({"vision_config": 1.5}, "vision_config is no object"),
        ({"quantization_config": [1]}, "quantization_config is no object"),
        ({"text_config": {"hidden_size": 10**14}}, "text_config.hidden_size is 100,000,000,000,000"),
    ],
)
def test_impossible_values_are_named(config, fault):
    assert fault in str(config_fault(config))
