import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from texlens.core.errors import ExportError
from texlens.exporting import shards
from texlens.exporting.shards import TensorWriter, read_shard, write_shard


def test_a_copied_shard_has_the_same_tensors_and_metadata(tmp_path):
    torch.manual_seed(0)
    tensors = {"b": torch.randn(3, 5).bfloat16(), "a": torch.arange(4), "c": torch.tensor(7, dtype=torch.uint8)}
    save_file(tensors, tmp_path / "one.safetensors", {"format": "pt", "note": "text"})
    stored, metadata = read_shard(tmp_path / "one.safetensors")
    write_shard(tmp_path / "two.safetensors", [TensorWriter.copied(tensor) for tensor in stored], metadata)
    with safe_open(tmp_path / "two.safetensors", framework="pt") as file:
        assert file.metadata() == {"format": "pt", "note": "text"}
    again = load_file(tmp_path / "two.safetensors")
    assert all(torch.equal(again[name], tensor) for name, tensor in tensors.items())


def test_a_tensor_is_read_in_blocks_of_whole_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "BLOCK_BYTES", 50)
    weight = torch.randn(7, 5)
    save_file({"w": weight}, tmp_path / "one.safetensors")
    (stored,), _ = read_shard(tmp_path / "one.safetensors")
    blocks = list(stored.blocks())
    assert [(len(block), start) for block, start in blocks] == [(2, 0), (2, 2), (2, 4), (1, 6)]
    assert torch.equal(torch.cat([block for block, _ in blocks]), weight)


def test_a_tensor_of_another_size_than_planned_is_a_bug(tmp_path):
    with pytest.raises(ExportError, match="another size than planned"):
        write_shard(tmp_path / "x", [TensorWriter("w", "F32", (4,), lambda: [b"1234"])], {})
