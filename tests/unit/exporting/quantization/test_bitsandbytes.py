from texlens.exporting.quantization.bitsandbytes import base_settings


def test_unquantized_modules_are_listed_for_both_loaders():
    settings = base_settings(["lm_head", "visual"])
    assert settings["quant_method"] == "bitsandbytes"
    assert settings["llm_int8_skip_modules"] == ["lm_head", "visual", "model.visual"]
