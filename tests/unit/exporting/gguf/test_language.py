"""The language model as GGUF."""

import pytest

from tests.unit.exporting.gguf.gguf_files import read, write
from texlens.core.errors import ExportError
from texlens.exporting.gguf.write import MODEL


def test_experts_are_stored_apart_by_gate_up_and_down(tmp_path):
    write(tmp_path, "qwen3_vl_moe")
    tensors = read(tmp_path / MODEL)[1]
    shapes = {name: tuple(tensors[f"blk.0.ffn_{name}_exps.weight"].shape) for name in ("gate", "up", "down")}
    assert shapes == {"gate": (64, 16, 4), "up": (64, 16, 4), "down": (16, 64, 4)}


def test_a_model_with_deepstack_in_its_last_layer_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("texlens.models.families.family.VisionAttributes.deepstack_blocks", lambda *_: [0, 1, 2])
    with pytest.raises(ExportError, match="3 deepstack layers in a language model of 3"):
        write(tmp_path, "qwen3_vl")
