import pytest

from texlens.inference.vllm.flags import unsupported_reason

LORA = {"peft_type": "LORA", "r": 16, "lora_alpha": 32}
STACKS = ["layers.0.mlp.experts.gate_up_proj", "layers.0.mlp.experts.down_proj"]


@pytest.mark.parametrize(
    "settings",
    [
        LORA,
        {**LORA, "use_rslora": True},
        {**LORA, "rank_pattern": {"visual": 8}, "alpha_pattern": {"visual": 64}},
        {**LORA, "init_lora_weights": "eva"},
        {**LORA, "target_parameters": STACKS},
    ],
)
def test_adapter_that_vllm_reads_is_served(settings):
    assert unsupported_reason(settings, {}) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"peft_type": "MOE_LORA"}, "LoRA only, not MOE_LORA"),
        ({"use_dora": True}, "does not support DoRA"),
        ({"modules_to_save": ["embed_tokens"]}, "modules_to_save"),
        ({"lora_bias": True}, "biases"),
        ({"bias": "all"}, "biases"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights 'pissa'"),
        ({"target_parameters": STACKS[1:]}, "both stacks of a layer's experts"),
        ({"r": 1024, "lora_alpha": 2048}, "rank 1024 is over vLLM's 512"),
    ],
)
def test_unsupported_adapter_is_refused_with_the_reason(changes, reason):
    assert reason in str(unsupported_reason({**LORA, **changes}, {}))


def test_one_adapter_shared_by_all_experts_is_refused():
    name = "base_model.model.model.language_model.layers.0.mlp.experts.lora_A.weight"
    settings = {**LORA, "target_parameters": STACKS}
    assert "all experts of a layer share" in str(unsupported_reason(settings, {name: {"shape": [16, 64]}}))
    assert unsupported_reason(settings, {name: {"shape": [16 * 4, 64]}}) is None
