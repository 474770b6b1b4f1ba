"""The pair of GGUF files of a tiny checkpoint, read back with the `gguf` package."""

import numpy as np
import pytest
from safetensors.torch import load_file

from tests.fixtures.tiny_models import FAMILY_NAMES
from tests.unit.exporting.gguf.gguf_files import gguf, read, write
from texlens.exporting.decoding import Decoding
from texlens.exporting.gguf.write import MODEL, PROJECTOR
from texlens.models.families import FAMILIES


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


@pytest.mark.parametrize("family", ["qwen3_5", "qwen3_5_moe"])
def test_a_hybrid_model_has_the_tensors_and_settings_that_llama_cpp_reads(family, tmp_path):
    base = write(tmp_path, family)
    fields, tensors = read(tmp_path / MODEL)
    architecture = fields["general.architecture"]
    part = {name.removeprefix("blk.0.") for name in tensors if name.startswith("blk.0.")}
    assert {
        "attn_qkv.weight", "attn_gate.weight", "ssm_alpha.weight", "ssm_beta.weight", "ssm_a", "ssm_dt.bias",
        "ssm_conv1d.weight", "ssm_norm.weight", "ssm_out.weight", "attn_norm.weight", "post_attention_norm.weight",
    } <= part  # fmt: skip
    assert fields[f"{architecture}.full_attention_interval"] == 2
    assert fields[f"{architecture}.rope.dimension_count"] == 8
    assert (fields[f"{architecture}.ssm.group_count"], fields[f"{architecture}.ssm.time_step_rank"]) == (2, 16)
    assert fields["tokenizer.ggml.pre"] == "qwen35"
    stored = load_file(base / "model.safetensors")
    norm = stored["model.language_model.layers.0.input_layernorm.weight"].numpy()
    np.testing.assert_allclose(tensors["blk.0.attn_norm.weight"].data, norm + 1, rtol=1e-6)
    assert not any("mtp" in name or "nextn" in name for name in tensors)


def test_the_gate_of_a_shared_expert_is_a_vector(tmp_path):
    write(tmp_path, "qwen3_5_moe")
    tensors = read(tmp_path / MODEL)[1]
    assert tuple(tensors["blk.0.ffn_gate_inp_shexp.weight"].shape) == (64,)
    assert tuple(tensors["blk.0.ffn_gate_exps.weight"].shape) == (64, 16, 4)
