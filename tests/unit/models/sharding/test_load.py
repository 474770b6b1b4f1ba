"""A model to divide has the weights, types and buffers of one that is loaded whole."""

import json

import pytest
import torch

from tests.fixtures.tiny_models import FAMILY_NAMES, write_tiny_checkpoint
from texlens.core.errors import ModelError
from texlens.models.load import load_model
from texlens.models.sharding.division import Division
from texlens.models.sharding.load import load_to_divide
from texlens.models.weight_rows.placeholders import is_placeholder


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_weights_and_buffers_are_those_of_the_whole_model(family, tmp_path):
    write_tiny_checkpoint(tmp_path, family)
    whole = load_model(tmp_path, dtype="bfloat16")
    model, rows_of = load_to_divide(tmp_path, Division(True, False, 0, 2), dtype="bfloat16")
    expected, divided = dict(whole.named_parameters()), dict(model.named_parameters())
    assert expected.keys() == divided.keys()
    for name, parameter in divided.items():
        value = rows_of(name, slice(1, 3)) if is_placeholder(parameter) else parameter
        assert torch.equal(value, expected[name][1:3] if is_placeholder(parameter) else expected[name])
    assert any(map(is_placeholder, divided.values()))
    assert all(
        is_placeholder(part) == ("language_model.layers" in name) for name, part in divided.items() if "o_proj" in name
    )
    for (name, buffer), (other_name, other) in zip(whole.named_buffers(), model.named_buffers(), strict=True):
        assert name == other_name
        assert torch.equal(buffer, other)
    assert model.lm_head.weight is model.model.language_model.embed_tokens.weight
    assert not model.training


def test_divided_experts_leave_dense_weights_whole(tmp_path):
    write_tiny_checkpoint(tmp_path, "qwen3_vl_moe")
    model, _ = load_to_divide(tmp_path, Division(False, True, 0, 2))
    placeholders = {name.rpartition(".")[2] for name, part in model.named_parameters() if is_placeholder(part)}
    assert placeholders == {"gate_up_proj", "down_proj"}


def test_quantized_checkpoint_is_refused(tmp_path):
    write_tiny_checkpoint(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": "fp8"}}))
    with pytest.raises(ModelError, match="its weights are quantized, and those can't be divided"):
        load_to_divide(tmp_path, Division(True, False, 0, 2))
