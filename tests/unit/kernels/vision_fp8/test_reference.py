"""The passes between a vision block's 8-bit products; Triton's on a GPU, or with TRITON_INTERPRET=1 anywhere."""

import importlib

import pytest
import torch
from torch.nn import functional

from tests.unit.kernels.fp8.test_format import DEVICE, drawn, with_triton
from texlens.kernels.fp8.format import quantize_rows_reference
from texlens.kernels.vision_fp8 import reference as tower

EPS = 1e-6
FORMS = ["plain", pytest.param("triton", marks=with_triton)]


def passes(form: str):
    if form == "triton":
        kernels = importlib.import_module("texlens.kernels.vision_fp8.triton")
        return kernels.norm_quantize, kernels.gelu_quantize
    return tower.norm_quantize_reference, tower.gelu_quantize_reference


def check_same(found, expected):
    """Equal scales, and equal codes but for quotients on the border between two; Triton's interpreter rounds some
    wrongly."""
    torch.testing.assert_close(found[1], expected[1], rtol=1e-5, atol=0)
    off = (found[0].float() - expected[0].float()).abs()
    assert (off > 0).float().mean() < (0.01 if DEVICE == "cuda" else 0.05)
    assert off.norm() < (0.02 if DEVICE == "cuda" else 0.1) * expected[0].float().norm()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("adds", [True, False])
@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize("width", [32, 1152])
def test_the_sum_and_the_codes_of_its_norm(form, adds, centered, width):
    norm_quantize, _ = passes(form)
    x, added = drawn(5, width) * 3 + 2, drawn(5, width, seed=1) if adds else None
    weight, bias = drawn(width, seed=2), drawn(width, seed=3) if centered else None
    total = x if added is None else x + added
    shape = (width,)
    if centered:
        normed = functional.layer_norm(total, shape, weight, bias, EPS)
    else:
        normed = functional.rms_norm(total, shape, weight, EPS)
    before = x.clone()
    found, codes = norm_quantize(x, added, weight, bias, EPS)
    torch.testing.assert_close(found, total, rtol=0, atol=0)
    assert torch.equal(x, before)
    check_same(codes, quantize_rows_reference(normed))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("width", [48, 4304])
@pytest.mark.parametrize(
    ("kind", "gelu"),
    [
        ("gelu_pytorch_tanh", lambda x: functional.gelu(x, approximate="tanh")),
        ("quick_gelu", lambda x: x * torch.sigmoid(1.702 * x)),
    ],
)
def test_the_codes_of_the_activation(form, width, kind, gelu):
    _, gelu_quantize = passes(form)
    x = drawn(5, width) * 4
    check_same(gelu_quantize(x, tower.GELUS[kind]), quantize_rows_reference(gelu(x)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_is_not_coded_as_one(form, bad):
    norm_quantize, gelu_quantize = passes(form)
    x = drawn(2, 48)
    x[1, 7] = bad
    weight, bias = torch.ones(48, device=DEVICE), torch.zeros(48, device=DEVICE)
    rows = [norm_quantize(x, None, weight, bias, EPS)[1], norm_quantize(x, None, weight, None, EPS)[1]]
    for codes, scale in [*rows, gelu_quantize(x, tower.GELUS["quick_gelu"])]:
        finite = torch.isfinite(codes.float() * scale).all(1)
        assert finite.tolist() == [True, False]


@pytest.mark.parametrize("form", FORMS)
def test_numbers_too_large_for_a_code_and_rows_of_zeros_pass(form):
    _, gelu_quantize = passes(form)
    x = torch.tensor([[0.0] * 16, [-1e9] * 15 + [1e9]], device=DEVICE)
    codes, scale = gelu_quantize(x, tower.GELUS["gelu_pytorch_tanh"])
    expected = torch.tensor([[0.0] * 16, [0.0] * 15 + [1e9]], device=DEVICE)
    torch.testing.assert_close(codes.float() * scale, expected, rtol=1e-6, atol=0)
