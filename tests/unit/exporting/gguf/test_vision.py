"""The vision tower as GGUF."""

import numpy as np
from safetensors.torch import load_file

from tests.unit.exporting.gguf.gguf_files import read, write
from texlens.exporting.gguf.write import PROJECTOR


def test_the_patch_embedding_is_split_by_frame(tmp_path):
    base = write(tmp_path, "qwen2_vl")
    tensors = read(tmp_path / PROJECTOR)[1]
    weights = load_file(base / "model.safetensors")
    original = next(value for name, value in weights.items() if name.endswith("patch_embed.proj.weight"))
    frame = tensors["v.patch_embd.weight.1"].data.astype("float32").reshape(original.shape[0], 3, 14, 14)
    np.testing.assert_allclose(frame, original[:, :, 1].numpy(), atol=1e-3)
