import pytest

from tests.fixtures.tiny_models import write_tiny_checkpoint
from texlens.config.model import ModelSettings
from texlens.config.quantize import QuantizeSettings
from texlens.core.errors import ConfigError
from texlens.models.build import build_base, build_model
from texlens.models.checkpoint import fingerprint


def settings(folder, **values) -> ModelSettings:
    return ModelSettings(path=str(folder), device="cpu", **values)


def test_a_base_is_found_and_identified_without_loading_weights(checkpoint):
    base = build_base(settings(checkpoint))
    assert base.folder == checkpoint
    assert base.fingerprint == fingerprint(checkpoint)
    assert base.processor.family.model_type == "qwen3_vl"


def test_a_given_pixel_budget_overrides_the_settings(checkpoint):
    base = build_base(settings(checkpoint, max_pixels=20_480), max_pixels=10_240)
    assert base.processor.geometry.max_pixels == 10_240
    assert build_base(settings(checkpoint, max_pixels=20_480)).processor.geometry.max_pixels == 20_480


def test_resizing_is_the_settings_unless_a_model_was_trained_with_another(checkpoint):
    assert build_base(settings(checkpoint)).processor.geometry.resize == "pil"
    chosen = settings(checkpoint, resize="torchvision")
    assert build_base(chosen).processor.geometry.resize == "torchvision"
    assert build_base(chosen, resize="pil").processor.geometry.resize == "pil"


def test_a_model_has_the_requested_type(checkpoint):
    model = build_model(build_base(settings(checkpoint)), settings(checkpoint, dtype="bfloat16"))
    assert str(next(model.parameters()).dtype) == "torch.bfloat16"


def test_an_impossible_quantization_is_refused_before_weights_are_loaded(tmp_path):
    folder = write_tiny_checkpoint(tmp_path, "qwen3_vl_moe")
    base = build_base(settings(folder))
    (folder / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"base\.quantize"):
        build_model(base, settings(folder), QuantizeSettings(quantize="fp8"))
