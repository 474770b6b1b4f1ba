import pytest

from texlens.inference.vllm.flags import unsupported_reason

LORA = {"peft_type": "LORA", "r": 16, "lora_alpha": 32}


@pytest.mark.parametrize(
    "settings",
    [
        LORA,
        {**LORA, "use_rslora": True},
        {**LORA, "rank_pattern": {"visual": 8}, "alpha_pattern": {"visual": 16}},
    ],
)
def test_adapter_with_one_scale_is_served(settings):
    assert unsupported_reason(settings) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"peft_type": "MOE_LORA"}, "LoRA only, not MOE_LORA"),
        ({"use_dora": True}, "does not support DoRA"),
        ({"modules_to_save": ["embed_tokens"]}, "modules_to_save"),
        ({"target_parameters": ["experts.down_proj"]}, "stacked experts"),
        ({"rank_pattern": {"visual": 8}}, "different scales"),
        ({"alpha_pattern": {"visual": 64}}, "different scales"),
        ({"use_rslora": True, "rank_pattern": {"visual": 8}, "alpha_pattern": {"visual": 16}}, "different scales"),
        ({"r": 1024, "lora_alpha": 2048}, "rank 1024 is over vLLM's 512"),
    ],
)
def test_unsupported_adapter_is_refused_with_the_reason(changes, reason):
    assert reason in str(unsupported_reason({**LORA, **changes}))
