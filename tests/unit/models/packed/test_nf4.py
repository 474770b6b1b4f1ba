"""Fused layers over a base in NF4, against the same model module by module."""

import importlib.util

import pytest
import torch

from tests.fixtures.tiny_models import tiny_config, tiny_processor
from tests.unit.models.packed.packs import adapted, gradients, pack_of, worst
from tests.unit.models.packed.test_forward import DENSE
from texlens.config.quantize import QuantizeSettings
from texlens.models.load import load_model, random_model, save_processor
from texlens.models.packed.forward import packed_forward
from texlens.models.packed.nf4 import WeightBuffer

HAS = importlib.util.find_spec("bitsandbytes") is not None
needs_bitsandbytes = pytest.mark.skipif(not HAS, reason="bitsandbytes is not installed")


def wide_config(family: str) -> dict:
    """The tiny config with widths that are whole blocks: bitsandbytes 0.50.2 unpacks others wrongly on a CPU."""
    config = tiny_config(family)
    text = config.get("text_config", config)
    text |= {"hidden_size": 64, "intermediate_size": 128}
    if "rope_scaling" in text:
        text |= {"head_dim": 16} if "head_dim" in text else {}
        text["rope_scaling"] = {**text["rope_scaling"], "mrope_section": [4, 2, 2]}
    config["vision_config"] |= {"hidden_size": 64} if family == "qwen2_vl" else {"out_hidden_size": 64}
    return config


def save_wide(folder, family: str):
    """Leaves a checkpoint of that config in the folder; its processor."""
    torch.manual_seed(0)
    model = random_model(wide_config(family))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    processor = tiny_processor(family)
    save_processor(processor, folder)
    return processor


def quantized(folder, family: str, how: str = "nf4", device: str = "cpu", **options):
    """A small model in 4 bit with adapters, and what makes packs for it."""
    processor = save_wide(folder, family)
    model = load_model(folder, device=device, quantize=QuantizeSettings(quantize=how))
    return adapted(model, **options).train(), model, processor


@needs_bitsandbytes
@pytest.mark.parametrize("recompute", ["none", "full"])
@pytest.mark.parametrize("family", DENSE)
def test_fused_layers_over_nf4_give_the_loss_and_gradients_of_bitsandbytes(family, recompute, tmp_path):
    trained, model, processor = quantized(tmp_path, family)
    pack = pack_of(model, processor)
    by_module = packed_forward(model, processor.geometry, fused=False)
    reference = by_module.loss(pack) / 7
    expected = gradients(reference, trained)
    forward = packed_forward(model, processor.geometry, recompute=recompute, backend="cpu")
    assert forward.text.unfused == {}
    loss = forward.loss(pack) / 7
    torch.testing.assert_close(loss, reference, atol=1e-5, rtol=1e-6)
    assert worst(gradients(loss, trained), expected) < 1e-5


@needs_bitsandbytes
def test_each_step_of_the_optimizer_is_seen(tmp_path):
    trained, model, processor = quantized(tmp_path, "qwen3_vl")
    pack = pack_of(model, processor)
    parameters = [parameter for parameter in trained.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=0.05, fused=True)
    forward = packed_forward(model, processor.geometry, backend="cpu")
    for _ in range(2):
        gradients(forward.loss(pack) / 7, trained)
        optimizer.step()
    expected = packed_forward(model, processor.geometry, fused=False).loss(pack)
    torch.testing.assert_close(forward.loss(pack), expected, atol=1e-4, rtol=1e-6)


@needs_bitsandbytes
def test_a_layer_without_adapters_next_to_ones_of_other_ranks(tmp_path):
    trained, model, processor = quantized(
        tmp_path, "qwen2_5_vl", target_modules=r".*language_model.*(q_proj|v_proj|up_proj)$", rank_pattern={"v_proj": 3}
    )
    pack = pack_of(model, processor)
    reference = packed_forward(model, processor.geometry, fused=False).loss(pack)
    expected = gradients(reference, trained)
    loss = packed_forward(model, processor.geometry, backend="cpu").loss(pack)
    torch.testing.assert_close(loss, reference, atol=1e-4, rtol=1e-6)
    assert worst(gradients(loss, trained), expected) < 1e-5


@needs_bitsandbytes
@pytest.mark.parametrize(
    ("how", "backend", "reason"),
    [
        ("int8", "cpu", "a Linear8bitLt layer"),
        ("nf4", "reference", "4-bit layers, for which there is no reference form"),
    ],
)
def test_what_stays_module_by_module_says_why(how, backend, reason, tmp_path):
    _, model, processor = quantized(tmp_path, "qwen3_vl", how)
    forward = packed_forward(model, processor.geometry, backend=backend)
    assert set(forward.text.unfused.values()) == {reason}


@needs_bitsandbytes
def test_4_bit_weights_next_to_others_stay_module_by_module(tmp_path):
    _, model, processor = quantized(tmp_path, "qwen3_vl")
    attention = model.model.language_model.layers[1].self_attn
    attention.k_proj = torch.nn.Linear(64, 32, bias=False).requires_grad_(False)
    forward = packed_forward(model, processor.geometry, backend="cpu")
    assert forward.text.unfused == {1: "4-bit layers next to others with the same input"}


def test_buffer_is_as_large_as_the_largest_weight_and_restarts_when_it_grows():
    buffer = WeightBuffer()
    buffer.reserve(6)
    small = buffer.view((2, 3), torch.float32, torch.device("cpu"))
    assert buffer.view((3, 2), torch.float32, torch.device("cpu")).data_ptr() == small.data_ptr()
    buffer.reserve(4)
    assert buffer.count == 6
