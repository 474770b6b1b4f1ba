from texlens.adapters.merge_checks import merge_refusal


def test_what_no_single_weight_equals_is_refused_with_the_reason():
    assert "anew for every token" in (merge_refusal({"peft_type": "MOE_LORA"}) or "")
    assert "4-bit base" in (merge_refusal({"peft_type": "LORA"}, init="loftq") or "")
    assert merge_refusal({"peft_type": "LORA"}) is None
