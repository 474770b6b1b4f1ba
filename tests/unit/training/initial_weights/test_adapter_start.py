from texlens.config.adapter import LoraSettings, MoeLoraSettings
from texlens.training.initial_weights.adapter_start import adapter_differences, expected_settings


def test_what_peft_did_not_save_is_off():
    assert adapter_differences({"r": 8}, {"r": 16, "use_dora": False}) == {"r": (8, 16)}


def test_settings_are_named_as_peft_names_them():
    lora = expected_settings(LoraSettings(rank=4, alpha=8, rslora=True))
    assert lora == {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "use_rslora": True, "use_dora": False}
    mixture = expected_settings(MoeLoraSettings(kind="moe-lora", rank=2, alpha=4, experts=3, top_k=1, shared=True))
    assert (mixture["peft_type"], mixture["experts"], mixture["top_k"], mixture["shared_expert"]) == (
        "MOE_LORA",
        3,
        1,
        True,
    )
