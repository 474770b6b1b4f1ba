"""Settings of a MoE-LoRA adapter."""

import pytest

from texlens.adapters.moe_lora.config import MoeLoraConfig
from texlens.adapters.moe_lora.register import NAME


def test_settings_have_our_type_and_a_set_of_targets():
    config = MoeLoraConfig(r=4, experts=3, target_modules=["q_proj", "v_proj", "q_proj"])
    assert config.peft_type == NAME
    assert config.target_modules == {"q_proj", "v_proj"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"r": 0}, "rank of at least 1"),
        ({"experts": 1}, "2 experts"),
        ({"experts": 2, "top_k": 3}, "top_k 3 is not between 1 and experts, 2"),
        ({"top_k": 0}, "top_k 0"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        MoeLoraConfig(**settings)
