import pytest

from texlens.inference.vllm.flags import highest_rank, image_flags, lora_flags, unsupported_reason

LORA = {"peft_type": "LORA", "r": 16, "lora_alpha": 32}


def test_image_flags_name_the_budget_for_processor_and_vllm():
    assert image_flags(1024, 4096) == [
        "--limit-mm-per-prompt",
        '{"image": 1, "video": 0}',
        "--mm-processor-kwargs",
        '{"min_pixels": 1024, "max_pixels": 4096, "size": {"shortest_edge": 1024, "longest_edge": 4096}}',
    ]


def test_adapters_are_loaded_at_the_next_rank_that_vllm_supports():
    settings = [LORA, {**LORA, "rank_pattern": {"visual": 33}}]
    assert lora_flags({"one": "/a", "two": "/b"}, settings, tower=True) == [
        "--enable-lora",
        "--max-loras",
        "2",
        "--max-lora-rank",
        "64",
        "--enable-tower-connector-lora",
        "--lora-modules",
        "one=/a",
        "two=/b",
    ]
    assert highest_rank(settings[1]) == 33


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
