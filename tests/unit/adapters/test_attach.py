"""Attached adapters: dropout of a group, models without experts."""

import pytest

from tests.fixtures.tiny_models import FAMILY_NAMES
from tests.unit.adapters.kinds import KINDS
from texlens.config.adapter import LoraSettings
from texlens.core.errors import ConfigError

DENSE = [name for name in FAMILY_NAMES if "moe" not in name]


def test_a_group_has_its_own_dropout(adapt):
    adapted = adapt("qwen3_vl", KINDS["groups"])
    shares = {
        "visual" if "visual" in name else "text": getattr(module["default"], "p", 0.0)
        for name, module in adapted.model.named_modules()
        if name.endswith("lora_dropout")
    }
    assert shares == {"visual": 0.1, "text": 0.0}


@pytest.mark.parametrize("family", DENSE)
def test_a_dense_model_has_no_experts_to_adapt(family, adapt):
    with pytest.raises(ConfigError, match=r"adapter\.experts: this model is no mixture"):
        adapt(family, LoraSettings(experts="lora"))
