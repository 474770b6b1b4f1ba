"""Products of packed weights compared with PyTorch's linear layer; one test fails where torch loses the operation."""

import pytest
import torch
from torch.nn import functional

from texlens.kernels.cpu_linear import linear
from texlens.kernels.cpu_linear.linear import CpuLinear, has_packed, product_dtype


@pytest.fixture(params=[True, False], ids=["packed", "plain"])
def packed(request, monkeypatch):
    if not request.param:
        monkeypatch.setattr(linear, "has_packed", lambda: False)


@pytest.mark.usefixtures("packed")
@pytest.mark.parametrize("gelu", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_products_equal_the_linear_layer(gelu, dtype, tolerance):
    torch.manual_seed(0)
    x, weight, bias = torch.randn(7, 24), torch.randn(40, 24) / 5, torch.randn(40)
    expected = functional.linear(x, weight, bias)
    expected = functional.gelu(expected, approximate="tanh") if gelu else expected

    ours = CpuLinear(weight, bias, dtype=dtype, gelu=gelu)(x)

    assert ours.dtype == dtype
    torch.testing.assert_close(ours.float(), expected, rtol=tolerance, atol=tolerance)


def test_this_torch_has_the_packed_product():
    assert has_packed()


def test_bfloat16_is_taken_only_where_it_is_asked_for(monkeypatch):
    monkeypatch.setattr(linear, "has_fast_bfloat16", lambda: True)
    usual = product_dtype()
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "medium")
    medium = product_dtype()
    monkeypatch.setattr(linear, "has_fast_bfloat16", lambda: False)

    assert (usual, medium, product_dtype()) == (torch.float32, torch.bfloat16, torch.float32)
