"""Between several processes: tests/integration/test_divided.py."""

import pytest
import torch
from torch import distributed
from torch.distributed.fsdp import FSDPModule

from tests.fixtures.tiny_models import tiny_model
from tests.unit.models.packed.packs import adapted, gradients, pack_of, worst
from tests.unit.models.packed.test_nf4 import needs_bitsandbytes, save_wide
from texlens.config.quantize import QuantizeSettings
from texlens.core.errors import ModelError
from texlens.models.load import load_model
from texlens.models.packed.forward import packed_forward
from texlens.models.sharding.divided_model import UNDIVIDED, divide_model
from texlens.models.sharding.division import WHOLE, Division
from texlens.models.sharding.load import load_to_divide
from texlens.models.sharding.quantized import codes_of_layer
from texlens.models.sharding.stock_passes import stock_passes

CPU = torch.device("cpu")
ATTENTION_AND_ANY_DOWN = ["q_proj", "v_proj", "o_proj", "down_proj"]
"""A mixture has no linear layer of the last name, and its quantized stacks must not be taken for one."""


@pytest.fixture
def group():
    """A process group of this process alone."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.parametrize(("family", "experts"), [("qwen3_vl", False), ("qwen3_vl_moe", True), ("qwen3_5_moe", False)])
def test_divided_layers_give_the_loss_and_gradients_of_whole_ones(group, family, experts):
    model, processor = tiny_model(family)
    trained = adapted(model)
    pack = pack_of(model, processor)
    expected_loss = packed_forward(model, processor.geometry, backend="cpu").loss(pack)
    expected = gradients(expected_loss, trained)
    model, processor = tiny_model(family)
    trained = adapted(model)
    divided = divide_model(model, Division(True, experts, 0, 1), CPU)
    loss = packed_forward(model, processor.geometry, backend="cpu", divided=divided).loss(pack)
    assert loss.item() == pytest.approx(expected_loss.item(), rel=1e-6)
    assert worst(gradients(loss, trained), expected) < 1e-5


def test_stock_pass_of_a_divided_model_is_that_of_the_whole_one(group):
    model, _ = tiny_model("qwen3_vl")
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        expected = model(input_ids=ids).logits
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        divided = divide_model(model, Division(True, False, 0, 1), CPU)
        with stock_passes(model, divided):
            assert torch.equal(model(input_ids=ids).logits, expected)
    assert not model.lm_head._forward_hooks


def test_whole_model_stays_as_it_is():
    assert divide_model(tiny_model()[0], WHOLE, CPU) == UNDIVIDED


SHARDED = Division(True, False, 0, 1)
HOW = ["fp8", pytest.param("nf4", marks=needs_bitsandbytes)]


@pytest.mark.parametrize("how", HOW)
def test_divided_quantized_layers_give_the_loss_and_gradients_of_whole_ones(group, how, tmp_path):
    processor = save_wide(tmp_path, "qwen3_vl_moe")
    quantize, options = QuantizeSettings(quantize=how), {"target_modules": ATTENTION_AND_ANY_DOWN}
    whole = load_model(tmp_path, device="cpu", quantize=quantize)
    trained, pack = adapted(whole, **options), pack_of(whole, processor)
    expected_loss = packed_forward(whole, processor.geometry, backend="cpu").loss(pack)
    expected = gradients(expected_loss, trained)
    model, rows_of = load_to_divide(tmp_path, SHARDED, device="cpu", quantize=quantize)
    trained = adapted(model, **options)
    divided = divide_model(model, SHARDED, CPU, rows_of)
    forward = packed_forward(model, processor.geometry, backend="cpu", divided=divided)
    assert not forward.text.unfused
    for _ in range(2):  # gathered into the same memory again
        loss = forward.loss(pack)
        assert loss.item() == pytest.approx(expected_loss.item(), rel=1e-6)
        assert worst(gradients(loss, trained), expected) < 1e-5


def test_codes_that_gathering_changes_are_an_error(group, monkeypatch, tmp_path):
    """As copies of 16-bit types on a GPU do, which make all NaN the same."""
    model, rows_of = fp8_model(tmp_path)
    unshard = FSDPModule.unshard

    def changing(module, *arguments):
        unshard(module, *arguments)
        with torch.no_grad():
            next(codes_of_layer(module, "")).tensor.view(torch.uint8)[0, 0] ^= 1

    monkeypatch.setattr(FSDPModule, "unshard", changing)
    with pytest.raises(ModelError, match=r"self_attn.q_proj.codes: gathering changes quantized weights"):
        divide_model(model, SHARDED, CPU, rows_of)


def fp8_model(folder):
    save_wide(folder, "qwen3_vl_moe")
    return load_to_divide(folder, SHARDED, device="cpu", quantize=QuantizeSettings(quantize="fp8"))
