"""Stacked experts in float8 and NF4, compared with the same values in 32 bits."""

import importlib.util

import pytest
import torch

from tests.fixtures.tiny_models import tiny_model
from tests.unit.models.mixtures.quantized_stacks import KINDS, drawn_stack, quantize_model, stock_experts, values_of
from texlens.core.errors import ModelError
from texlens.kernels.nf4.reference import block_scales
from texlens.models.mixtures.experts import STACKS, Fp8Stack, Nf4Stack

needs_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed"
)
SHAPE = (3, 6, 64)


def test_fp8_is_the_largest_magnitude_of_a_row_in_448_steps():
    stack = torch.tensor([[[1.0, -2.0], [0.0, 448.0]], [[4.0, 4.0], [0.5, 0.25]]])
    quantized = Fp8Stack.of(stack)
    torch.testing.assert_close(quantized.scale, torch.tensor([[2.0, 448.0], [4.0, 0.5]]) / 448)
    torch.testing.assert_close(values_of(quantized), stack)
    assert quantized.nbytes == stack.numel() + 4 * 4


def test_nf4_is_a_value_of_the_table_times_the_scale_of_its_block():
    stack = drawn_stack("nf4", SHAPE)
    byte = int(stack.packed[5])
    first = values_of(stack).flatten()[10:12]
    expected = stack.values[[byte >> 4, byte & 15]] * stack.scales[0]
    torch.testing.assert_close(first, expected)
    nested = drawn_stack("nf4 with quantized scales", SHAPE)
    scale = nested.nested_values[int(nested.scales[0])] * nested.nested_scales[0] + nested.nested_offset
    torch.testing.assert_close(block_scales(nested._weight(torch.float32))[0], scale)


@pytest.mark.parametrize("kind", KINDS)
def test_chosen_experts_are_written_in_their_order_into_a_larger_place(kind):
    stack = drawn_stack(kind, SHAPE)
    out = torch.full((4, 8, 70), 9.0)
    stack.write(out[:, :6, :64], torch.tensor([2, 0, 0, 1]))
    assert torch.equal(out[:, :6, :64], values_of(stack)[[2, 0, 0, 1]])
    assert (out[:, 6:] == 9).all()
    assert (out[:, :, 64:] == 9).all()


@needs_bitsandbytes
@pytest.mark.parametrize("double", [True, False])
def test_nf4_has_the_values_that_bitsandbytes_has(double):
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    stack = torch.randn(3, 128, 64, generator=torch.Generator().manual_seed(0))
    packed, state = quantize_4bit(stack.flatten(0, 1), blocksize=64, compress_statistics=double, quant_type="nf4")
    expected = dequantize_4bit(packed, state).view(stack.shape)
    quantized = Nf4Stack.of(stack, double=double)
    torch.testing.assert_close(values_of(quantized), expected, rtol=1e-6, atol=1e-6)
    assert quantized.nbytes == Nf4Stack.empty(stack.shape, torch.device("cpu"), double=double).nbytes


def test_experts_that_are_not_whole_blocks_are_refused():
    with pytest.raises(ModelError, match=r"an expert of 6 x 8 is not whole blocks; set base\.quantize: fp8"):
        Nf4Stack.empty(torch.Size((3, 6, 8)), torch.device("cpu"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tokens", [1, 40])
def test_results_and_gradients_are_those_of_the_stock_module_with_the_same_values(kind, tokens):
    model = quantize_model(tiny_model("qwen3_vl_moe")[0], kind)
    quantized = model.model.language_model.layers[0].mlp.experts
    stock = stock_experts(quantized, model.config.text_config)
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(tokens, 32, generator=draw).requires_grad_()
    chosen = torch.stack([torch.randperm(4, generator=draw)[:2] for _ in range(tokens)])
    weights = torch.rand(tokens, 2, generator=draw).requires_grad_()
    grad = torch.randn(tokens, 32, generator=draw)
    results = [module(x, chosen, weights) for module in (quantized, stock)]
    (left, right) = (torch.autograd.grad(result, (x, weights), grad) for result in results)
    for value, expected in zip((results[0], *left), (results[1], *right), strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-5)


def test_placeholders_take_no_memory_and_nothing_computes_with_them_unnoticed():
    model = quantize_model(tiny_model("qwen3_vl_moe")[0], "fp8")
    experts = model.model.language_model.layers[0].mlp.experts
    before = [experts.stacks[name].codes for name in STACKS]
    for moved in (experts, experts.bfloat16(), experts.to("cpu")):
        for name in STACKS:
            placeholder = getattr(moved, name)
            assert placeholder.shape == experts.stacks[name].shape
            assert placeholder.untyped_storage().nbytes() == placeholder.itemsize
            assert placeholder.isnan().all()
    assert experts.gate_up_proj.dtype == torch.bfloat16
    assert [experts.stacks[name].codes for name in STACKS] == before
    assert experts.stacks["down_proj"].scale.dtype == torch.float32


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(8, 32, 64), (8, 256, 64)])
@pytest.mark.parametrize("experts", [slice(0, 3), slice(3, 8), slice(5, 5)])
def test_part_has_the_values_of_its_experts(kind, shape, experts):
    stack = drawn_stack(kind, shape)
    part = stack.part(experts)
    assert part.shape == (len(range(8)[experts]), *shape[1:])
    assert torch.equal(values_of(part), values_of(stack)[experts])
    assert part.nbytes < stack.nbytes
