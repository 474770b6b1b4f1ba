"""The fp8 kernel against its reference."""

import importlib.util

import pytest
import torch

from tests.unit.kernels.fp8.random_tensors import DEVICE, random_tensor, with_triton
from tests.unit.models.mixtures.quantized_stacks import drawn_stack
from texlens.kernels.fp8.reference import dequantize_experts_reference, quantize_rows_reference


@with_triton
@pytest.mark.parametrize("width", [40, 5000])
@pytest.mark.parametrize("ranks", [0, 8, 24])
def test_kernel_equals_the_reference(width, ranks):
    x, lora_a_out = random_tensor(5, width + 16)[:, :width], random_tensor(5, ranks) * 30 if ranks else None
    rescale = torch.tensor([3.0], device=DEVICE)
    results, scale = fp8_kernel().quantize_rows(x, lora_a_out, rescale)
    expected, expected_scale = quantize_rows_reference(x, lora_a_out, rescale)
    torch.testing.assert_close(scale, expected_scale, rtol=1e-6, atol=0)
    off = (results.float() - expected.float()).abs()
    # A quotient half way between two values may fall to either side; Triton's interpreter rounds some wrongly.
    assert (off > 0).float().mean() < (0.01 if DEVICE == "cuda" else 0.05)
    assert off.norm() < (0.02 if DEVICE == "cuda" else 0.1) * expected.float().norm()


@pytest.mark.parametrize("form", ["reference", pytest.param("triton", marks=with_triton)])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_or_inf_stays_not_finite(form, bad):
    x = torch.ones(2, 24, device=DEVICE)
    x[1, 7] = bad
    quantize = fp8_kernel().quantize_rows if form == "triton" else quantize_rows_reference
    quantized, scale = quantize(x)
    numbers = quantized.float() * scale
    assert (numbers[0] == 1).all()
    assert not torch.isfinite(numbers[1]).all()


@with_triton
@pytest.mark.parametrize("experts", [None, [2, 0, 0, 1]])
@pytest.mark.parametrize("width", [40, 1500])
def test_kernel_writes_the_same_experts_and_nothing_else(experts, width):
    stack = drawn_stack("fp8", (3, 7, width)).to(DEVICE)
    chosen = None if experts is None else torch.tensor(experts, device=DEVICE)
    out = torch.full((3 if experts is None else 4, 9, width + 5), 9.0, device=DEVICE)
    expected = out.clone()
    fp8_kernel().dequantize_experts(stack.codes, stack.scale, out[:, 1:-1, :width], chosen)
    dequantize_experts_reference(stack.codes, stack.scale, expected[:, 1:-1, :width], chosen)
    torch.testing.assert_close(out, expected, rtol=1e-6, atol=0)


@with_triton
def test_kernel_refuses_a_place_of_another_shape():
    stack = drawn_stack("fp8", (3, 7, 40)).to(DEVICE)
    with pytest.raises(ValueError, match="can't be written into"):
        fp8_kernel().dequantize_experts(stack.codes, stack.scale, torch.empty(2, 7, 40, device=DEVICE))


def fp8_kernel():
    return importlib.import_module("texlens.kernels.fp8.triton")
