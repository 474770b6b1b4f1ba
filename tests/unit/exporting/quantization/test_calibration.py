import pytest
import torch

from tests.fixtures.tiny_models import tiny_model
from texlens.core.errors import ExportError
from texlens.exporting.quantization.calibration import calibrate

LAYERS = [
    f"model.language_model.layers.{number}.{name}"
    for number in range(2)
    for name in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
]


def batches() -> list[dict]:
    return [{"input_ids": torch.arange(5 + row, 45 + row)[None]} for row in range(3)]


@pytest.mark.parametrize("method", ["gptq", "awq"])
def test_layers_are_replaced_by_their_rounded_weights(method):
    model, _ = tiny_model()
    result = calibrate(model, batches(), LAYERS, method, scale_dtype=torch.float32)
    assert set(result.codes) == set(result.scales) == set(LAYERS)
    assert result.group_size == 32
    for name in LAYERS:
        weight = model.get_submodule(name).weight
        torch.testing.assert_close(weight, result.codes[name].float() * result.scales[name])


def test_only_awq_changes_the_norms_before_the_layers():
    for method, changed in (
        ("gptq", set()),
        ("awq", {f"model.language_model.layers.{n}.input_layernorm.weight" for n in (0, 1)}),
    ):
        model, _ = tiny_model()
        assert set(calibrate(model, batches(), LAYERS, method, scale_dtype=torch.float32).rescaled) == changed


def test_progress_counts_decoder_layers():
    model, _ = tiny_model()
    steps = []
    calibrate(model, batches(), LAYERS, "gptq", scale_dtype=torch.float32, on_progress=lambda *step: steps.append(step))
    assert steps == [(1, 2), (2, 2)]


def test_widths_that_no_group_divides_are_refused():
    model, _ = tiny_model()
    with pytest.raises(ExportError, match=r"don't divide layers \[48\] wide"):
        calibrate(model, [], ["model.language_model.layers.0.mlp.down_proj"], "gptq", scale_dtype=torch.float32)
