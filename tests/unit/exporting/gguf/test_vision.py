"""The vision tower as GGUF."""

import numpy as np
import pytest
from safetensors.torch import load_file

from tests.fixtures.tiny_models import tiny_processor
from tests.unit.exporting.conftest import write_base
from texlens.exporting.decoding import Decoding
from texlens.exporting.gguf.write import PROJECTOR, write_gguf

gguf = pytest.importorskip("gguf")


def read(path) -> tuple[dict, dict]:
    reader = gguf.GGUFReader(str(path))
    fields = {name: field.contents() for name, field in reader.fields.items()}
    return fields, {tensor.name: tensor for tensor in reader.tensors}


def write(folder, family: str, decoding: Decoding = Decoding(8)):  # noqa: B008 - a frozen value
    base = write_base(folder / "base", family)
    write_gguf(base, tiny_processor(family), decoding, folder)
    return base


def test_the_patch_embedding_is_split_by_frame(tmp_path):
    base = write(tmp_path, "qwen2_vl")
    tensors = read(tmp_path / PROJECTOR)[1]
    weights = load_file(base / "model.safetensors")
    original = next(value for name, value in weights.items() if name.endswith("patch_embed.proj.weight"))
    frame = tensors["v.patch_embd.weight.1"].data.astype("float32").reshape(original.shape[0], 3, 14, 14)
    np.testing.assert_allclose(frame, original[:, :, 1].numpy(), atol=1e-3)
