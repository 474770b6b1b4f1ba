"""The operations between the float8 products of a vision block; Triton on a GPU, or with TRITON_INTERPRET=1."""

import importlib

import pytest
import torch
from torch.nn import functional

from tests.unit.kernels.fp8.random_tensors import DEVICE, random_tensor, with_triton
from texlens.kernels.fp8.reference import quantize_rows_reference
from texlens.kernels.vision_fp8 import reference
from texlens.kernels.vision_fp8.format import GELUS

EPS = 1e-6
FORMS = ["reference", pytest.param("triton", marks=with_triton)]


def kernels(form: str):
    if form == "triton":
        kernels = importlib.import_module("texlens.kernels.vision_fp8.triton")
        return kernels.norm_quantize, kernels.gelu_quantize
    return reference.norm_quantize_reference, reference.gelu_quantize_reference


def check_same(results, expected):
    """Equal scales, and equal values but for ties, some of which the interpreter of Triton rounds wrongly."""
    torch.testing.assert_close(results[1], expected[1], rtol=1e-5, atol=0)
    off = (results[0].float() - expected[0].float()).abs()
    assert (off > 0).float().mean() < (0.01 if DEVICE == "cuda" else 0.05)
    assert off.norm() < (0.02 if DEVICE == "cuda" else 0.1) * expected[0].float().norm()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("adds", [True, False])
@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize("width", [32, 1152])
def test_the_sum_and_the_fp8_rows_of_its_norm(form, adds, centered, width):
    norm_quantize, _ = kernels(form)
    x, residual = random_tensor(5, width) * 3 + 2, random_tensor(5, width, seed=1) if adds else None
    weight, bias = random_tensor(width, seed=2), random_tensor(width, seed=3) if centered else None
    total = x if residual is None else x + residual
    shape = (width,)
    if centered:
        normed = functional.layer_norm(total, shape, weight, bias, EPS)
    else:
        normed = functional.rms_norm(total, shape, weight, EPS)
    before = x.clone()
    results, quantized = norm_quantize(x, residual, weight, bias, EPS)
    torch.testing.assert_close(results, total, rtol=0, atol=0)
    assert torch.equal(x, before)
    check_same(quantized, quantize_rows_reference(normed))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("width", [48, 4304])
@pytest.mark.parametrize(
    ("kind", "gelu"),
    [
        ("gelu_pytorch_tanh", lambda x: functional.gelu(x, approximate="tanh")),
        ("quick_gelu", lambda x: x * torch.sigmoid(1.702 * x)),
    ],
)
def test_the_fp8_rows_of_the_activation(form, width, kind, gelu):
    _, gelu_quantize = kernels(form)
    x = random_tensor(5, width) * 4
    check_same(gelu_quantize(x, GELUS[kind]), quantize_rows_reference(gelu(x)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_or_inf_is_not_quantized_as_one(form, bad):
    norm_quantize, gelu_quantize = kernels(form)
    x = random_tensor(2, 48)
    x[1, 7] = bad
    weight, bias = torch.ones(48, device=DEVICE), torch.zeros(48, device=DEVICE)
    rows = [norm_quantize(x, None, weight, bias, EPS)[1], norm_quantize(x, None, weight, None, EPS)[1]]
    for quantized, scale in [*rows, gelu_quantize(x, GELUS["quick_gelu"])]:
        finite = torch.isfinite(quantized.float() * scale).all(1)
        assert finite.tolist() == [True, False]


@pytest.mark.parametrize("form", FORMS)
def test_numbers_too_large_for_a_code_and_rows_of_zeros_pass(form):
    _, gelu_quantize = kernels(form)
    x = torch.tensor([[0.0] * 16, [-1e9] * 15 + [1e9]], device=DEVICE)
    quantized, scale = gelu_quantize(x, GELUS["gelu_pytorch_tanh"])
    expected = torch.tensor([[0.0] * 16, [0.0] * 15 + [1e9]], device=DEVICE)
    torch.testing.assert_close(quantized.float() * scale, expected, rtol=1e-6, atol=0)
