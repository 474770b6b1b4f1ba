import torch
from safetensors.torch import load_file

from tests.unit.exporting.conftest import write_base
from texlens.exporting.quantization.checkpoint import (
    chosen_layers,
    quantized_bytes,
    unquantized_modules,
    write_quantized,
)
from texlens.exporting.quantization.codec import Codec
from texlens.models.checkpoint import read_config, weight_files
from texlens.models.families import FAMILIES


def test_layers_of_the_language_model_are_chosen_and_those_of_the_tower_on_request(tmp_path):
    folder = write_base(tmp_path / "base", "qwen3_vl")
    text = {layer.name for layer in chosen_layers(folder, vision=False)}
    everything = {layer.name for layer in chosen_layers(folder, vision=True)}
    assert len(text) == 3 * 7
    assert all(name.startswith("model.language_model.") for name in text)
    assert {name.split(".")[1] for name in everything - text} == {"visual"}


def test_layers_with_unsuitable_inputs_are_left_out(tmp_path):
    folder = write_base(tmp_path / "base", "qwen3_vl")
    assert {layer.inputs for layer in chosen_layers(folder, vision=True, multiple_of=64)} == {64, 128}


def test_encoded_tensors_replace_the_weight_and_all_others_are_copied(tmp_path):
    folder = write_base(tmp_path / "base", "qwen3_vl")
    (tmp_path / "out").mkdir()
    layer = "model.language_model.layers.0.self_attn.q_proj"
    codec = Codec(lambda name, weight: {"half": weight / 2}, lambda names: {"skipped": list(names)}, {})
    write_quantized(folder, tmp_path / "out", codec, {layer})
    base, out = load_file(folder / "model.safetensors"), load_file(tmp_path / "out/model.safetensors")
    assert torch.equal(out.pop(f"{layer}.half"), base.pop(f"{layer}.weight") / 2)
    assert out.keys() == base.keys()
    skipped = read_config(tmp_path / "out")["quantization_config"]["skipped"]
    assert skipped[:2] == ["lm_head", "visual"]
    assert layer.removeprefix("model.") not in skipped


def test_size_shrinks_by_the_ratio_of_the_chosen_layers(tmp_path):
    files = weight_files(write_base(tmp_path / "base", "qwen3_vl"))
    layer = "model.language_model.layers.0.self_attn.q_proj"
    assert quantized_bytes(files, set(), 0.5) - quantized_bytes(files, {layer}, 0.5) == 64 * 64 * 4 / 2


def test_a_mixture_names_its_router_and_experts():
    assert unquantized_modules([], [], FAMILIES["qwen3_vl_moe"]) == ["lm_head", "mlp.gate", "mlp.experts"]
