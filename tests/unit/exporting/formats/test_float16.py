import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from texlens.core.errors import ExportError
from texlens.exporting.formats.float16 import MERGED_FLOAT16, to_float16
from texlens.exporting.formats.merged import MERGED


def test_every_float_tensor_of_the_merged_checkpoint_is_its_float16(job, tmp_path):
    notes = MERGED_FLOAT16.write(job)
    half = load_file(job.folder / "model.safetensors")
    config = json.loads((job.folder / "config.json").read_text())
    for path in job.folder.iterdir():
        path.unlink()
    MERGED.write(job)
    merged = load_file(job.folder / "model.safetensors")

    assert notes["rounded to"] == "float16"
    assert half.keys() == merged.keys()
    assert all(torch.equal(half[name], tensor.half()) for name, tensor in merged.items())
    named = {config.get("dtype"), config.get("torch_dtype"), config["text_config"].get("dtype")} - {None}
    assert named == {"float16"}


def test_integers_stay_as_they_are(tmp_path):
    shard = tmp_path / "model.safetensors"
    save_file({"a": torch.tensor([1, 2]), "b": torch.tensor([1.5])}, shard, {"format": "pt"})
    to_float16(shard)
    assert {name: tensor.dtype for name, tensor in load_file(shard).items()} == {"a": torch.int64, "b": torch.float16}


def test_a_value_beyond_float16_is_refused_by_name(tmp_path):
    shard = tmp_path / "model.safetensors"
    save_file({"head": torch.tensor([70_000.0])}, shard)
    with pytest.raises(ExportError, match="head has values that float16 can't hold"):
        to_float16(shard)
