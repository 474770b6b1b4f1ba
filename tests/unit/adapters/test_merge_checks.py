from texlens.adapters.merge_checks import unmergeable_reason


def test_what_no_single_weight_equals_is_refused_with_the_reason():
    assert "for every token" in (unmergeable_reason({"peft_type": "MOE_LORA"}) or "")
    assert "4-bit base" in (unmergeable_reason({"peft_type": "LORA"}, init="loftq") or "")
    assert unmergeable_reason({"peft_type": "LORA"}) is None
