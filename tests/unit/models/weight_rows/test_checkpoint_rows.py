import pytest
import torch
from safetensors.torch import save_file

from texlens.core.errors import ModelError
from texlens.models.weight_rows.checkpoint_rows import CheckpointRows

EXPERTS = "model.language_model.layers.0.mlp.experts"


def rows_of(folder, tensors, shapes, dtype=torch.float32):
    save_file(tensors, folder / "model.safetensors")
    return CheckpointRows(folder, shapes, dtype)


def test_rows_are_those_of_the_tensor_in_the_type_of_the_model(tmp_path):
    weight = torch.randn(7, 3).bfloat16()
    rows = rows_of(tmp_path, {"model.norm.weight": weight}, {"model.language_model.norm.weight": (7, 3)})
    part = rows("model.language_model.norm.weight", slice(2, 5))
    assert part.dtype == torch.float32
    assert torch.equal(part, weight[2:5].float())
    assert rows("model.language_model.norm.weight", slice(7, 7)).shape == (0, 3)


def test_transposed_stacks_are_turned(tmp_path):
    stack = torch.randn(4, 3, 5)
    name = f"{EXPERTS}.gate_up_proj"
    rows = rows_of(tmp_path, {name: stack}, {name: (4, 5, 3)})
    assert torch.equal(rows(name, slice(1, 3)), stack[1:3].transpose(1, 2))


def test_experts_that_are_stored_one_by_one_become_a_stack(tmp_path):
    stored = {
        f"{EXPERTS}.{number}.{part}.weight": torch.randn(2, 3)
        for number in range(4)
        for part in ("gate_proj", "up_proj")
    }
    name = f"{EXPERTS}.gate_up_proj"
    rows = rows_of(tmp_path, stored, {name: (4, 4, 3)})
    expected = [
        torch.cat([stored[f"{EXPERTS}.{n}.{part}.weight"] for part in ("gate_proj", "up_proj")]) for n in (2, 3)
    ]
    assert torch.equal(rows(name, slice(2, 4)), torch.stack(expected))


def test_missing_tensor_is_reported(tmp_path):
    rows = rows_of(tmp_path, {"lm_head.weight": torch.zeros(2, 2)}, {"a": (2, 2), f"{EXPERTS}.down_proj": (2, 2, 2)})
    with pytest.raises(ModelError, match="the weights lack a; download the checkpoint again"):
        rows("a")
    with pytest.raises(ModelError, match=r"the weights lack .*down_proj"):
        rows(f"{EXPERTS}.down_proj")


def test_other_shape_is_reported(tmp_path):
    rows = rows_of(tmp_path, {"lm_head.weight": torch.zeros(2, 2)}, {"lm_head.weight": (3, 2)})
    with pytest.raises(ModelError, match=r"has the shape \[2, 2\] where config.json asks for \[3, 2\]"):
        rows("lm_head.weight")
