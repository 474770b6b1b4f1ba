"""Types of tensors."""

import numpy as np
from safetensors.torch import load_file

from tests.unit.exporting.gguf.gguf_files import gguf, read, write
from texlens.exporting.gguf.write import MODEL, PROJECTOR


def test_matrices_have_8_bits_and_the_tower_has_16(tmp_path):
    base = write(tmp_path, "qwen3_vl")
    tensor = read(tmp_path / MODEL)[1]["blk.0.attn_q.weight"]
    original = load_file(base / "model.safetensors")["model.language_model.layers.0.self_attn.q_proj.weight"].numpy()
    assert tensor.tensor_type == gguf.GGMLQuantizationType.Q8_0
    values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    assert np.abs(values - original).max() < np.abs(original).max() / 100
    kinds = {tensor.tensor_type for tensor in read(tmp_path / PROJECTOR)[1].values()}
    assert kinds == {gguf.GGMLQuantizationType.F16, gguf.GGMLQuantizationType.F32}
