import torch
from safetensors.torch import load_file

from texlens.exporting.formats.fp8 import FP8, MAX_FP8
from texlens.models.checkpoint import read_config

LAYER = "model.language_model.layers.0.self_attn.q_proj"


def test_weights_times_scales_are_close_to_the_merged_weights(job):
    notes = FP8.write(job)
    stored = load_file(job.folder / "model.safetensors")
    weight, scale = stored[f"{LAYER}.weight"], stored[f"{LAYER}.weight_scale"]
    assert weight.dtype is torch.float8_e4m3fn
    assert weight.float().abs().max() == MAX_FP8
    base = load_file(job.base.folder / "model.safetensors")[f"{LAYER}.weight"]
    assert (weight.float() * scale - base).norm() / base.norm() < 0.2
    assert notes["quantized layers"] == 3 * 7


def test_the_config_describes_weights_by_channel_and_inputs_by_token(job):
    FP8.write(job)
    group = read_config(job.folder)["quantization_config"]["config_groups"]["group_0"]
    assert (group["weights"]["strategy"], group["input_activations"]["strategy"]) == ("channel", "token")
