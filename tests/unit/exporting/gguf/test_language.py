"""The language model as GGUF."""

import pytest

from tests.fixtures.tiny_models import tiny_processor
from tests.unit.exporting.conftest import write_base
from texlens.core.errors import ExportError
from texlens.exporting.decoding import Decoding
from texlens.exporting.gguf.write import MODEL, write_gguf

gguf = pytest.importorskip("gguf")


def read(path) -> tuple[dict, dict]:
    reader = gguf.GGUFReader(str(path))
    fields = {name: field.contents() for name, field in reader.fields.items()}
    return fields, {tensor.name: tensor for tensor in reader.tensors}


def write(folder, family: str, decoding: Decoding = Decoding(8)):  # noqa: B008 - a frozen value
    base = write_base(folder / "base", family)
    write_gguf(base, tiny_processor(family), decoding, folder)
    return base


def test_experts_are_stored_apart_by_gate_up_and_down(tmp_path):
    write(tmp_path, "qwen3_vl_moe")
    tensors = read(tmp_path / MODEL)[1]
    shapes = {name: tuple(tensors[f"blk.0.ffn_{name}_exps.weight"].shape) for name in ("gate", "up", "down")}
    assert shapes == {"gate": (64, 16, 4), "up": (64, 16, 4), "down": (16, 64, 4)}


def test_a_model_with_deepstack_in_its_last_layer_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("texlens.models.families.family.VisionAttributes.deepstack_blocks", lambda *_: [0, 1, 2])
    with pytest.raises(ExportError, match="3 deepstack layers in a language model of 3"):
        write(tmp_path, "qwen3_vl")
