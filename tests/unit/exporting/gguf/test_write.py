"""The pair of GGUF files of a tiny checkpoint, read back with the `gguf` package."""

import numpy as np
import pytest
from safetensors.torch import load_file

from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_processor
from tests.unit.exporting.conftest import write_base
from texlens.core.errors import ExportError
from texlens.exporting.decoding import Decoding
from texlens.exporting.gguf.write import MODEL, PROJECTOR, write_gguf
from texlens.models.families import FAMILIES

gguf = pytest.importorskip("gguf")


def read(path) -> tuple[dict, dict]:
    reader = gguf.GGUFReader(str(path))
    fields = {name: field.contents() for name, field in reader.fields.items()}
    return fields, {tensor.name: tensor for tensor in reader.tensors}


def write(folder, family: str, decoding: Decoding = Decoding(8)):  # noqa: B008 - a frozen value
    base = write_base(folder / "base", family)
    write_gguf(base, tiny_processor(family), decoding, folder)
    return base


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_settings_name_the_architecture_and_the_measured_decoding(family, tmp_path):
    write(tmp_path, family)
    text, _ = read(tmp_path / MODEL)
    vision, _ = read(tmp_path / PROJECTOR)
    architecture = text["general.architecture"]
    assert architecture == FAMILIES[family].gguf.architecture.lower()
    assert text[f"{architecture}.embedding_length"] == 64
    assert (text["general.sampling.temp"], text["general.sampling.top_k"]) == (0.0, 0)
    assert text["general.quantization_version"] == vision["general.quantization_version"] == gguf.GGML_QUANT_VERSION
    assert vision["clip.vision.projection_dim"] == 64


def test_a_temperature_of_the_evaluation_is_written(tmp_path):
    write(tmp_path, "qwen3_vl", Decoding(8, 0.5))
    assert read(tmp_path / MODEL)[0]["general.sampling.temp"] == 0.5


def test_matrices_have_8_bits_and_the_tower_has_16(tmp_path):
    base = write(tmp_path, "qwen3_vl")
    tensor = read(tmp_path / MODEL)[1]["blk.0.attn_q.weight"]
    original = load_file(base / "model.safetensors")["model.language_model.layers.0.self_attn.q_proj.weight"].numpy()
    assert tensor.tensor_type == gguf.GGMLQuantizationType.Q8_0
    values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    assert np.abs(values - original).max() < np.abs(original).max() / 100
    kinds = {tensor.tensor_type for tensor in read(tmp_path / PROJECTOR)[1].values()}
    assert kinds == {gguf.GGMLQuantizationType.F16, gguf.GGMLQuantizationType.F32}


def test_experts_are_stored_apart_by_gate_up_and_down(tmp_path):
    write(tmp_path, "qwen3_vl_moe")
    tensors = read(tmp_path / MODEL)[1]
    shapes = {name: tuple(tensors[f"blk.0.ffn_{name}_exps.weight"].shape) for name in ("gate", "up", "down")}
    assert shapes == {"gate": (64, 16, 4), "up": (64, 16, 4), "down": (16, 64, 4)}


def test_the_patch_embedding_is_split_by_frame(tmp_path):
    base = write(tmp_path, "qwen2_vl")
    tensors = read(tmp_path / PROJECTOR)[1]
    weights = load_file(base / "model.safetensors")
    original = next(value for name, value in weights.items() if name.endswith("patch_embed.proj.weight"))
    frame = tensors["v.patch_embd.weight.1"].data.astype("float32").reshape(original.shape[0], 3, 14, 14)
    np.testing.assert_allclose(frame, original[:, :, 1].numpy(), atol=1e-3)


def test_a_model_with_deepstack_in_its_last_layer_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("texlens.models.families.family.VisionAttributes.deepstack_blocks", lambda *_: [0, 1, 2])
    with pytest.raises(ExportError, match="3 deepstack layers in a language model of 3"):
        write(tmp_path, "qwen3_vl")
