"""The norms and activations of a vision block in Triton (on a GPU, or with TRITON_INTERPRET=1) and in PyTorch."""

import importlib

import pytest
import torch

from tests.unit.kernels.triton_here import DEVICE, needs_triton
from texlens.kernels.vision_block import reference

pytestmark = needs_triton


@pytest.mark.parametrize("extra_columns", [0, 8])
@pytest.mark.parametrize("with_residual", [False, True])
@pytest.mark.parametrize("centered", [False, True])
def test_sum_and_norm_are_those_of_the_reference(centered, with_residual, extra_columns):
    kernels = importlib.import_module("texlens.kernels.vision_block.triton")
    draw = torch.Generator().manual_seed(0)
    x, residual = (torch.randn(5, 72, generator=draw).to(DEVICE) * 30 + 2 for _ in range(2))
    weight, bias = (torch.randn(72, generator=draw).to(DEVICE) for _ in range(2))
    arguments = x, residual if with_residual else None, weight, bias if centered else None, 1e-6
    total, normed = kernels.add_norm(*arguments, extra_columns)
    expected_total, expected = reference.add_norm(*arguments)
    torch.testing.assert_close(total, expected_total)
    assert normed.shape == (5, 72 + extra_columns)
    torch.testing.assert_close(normed[:, :72], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("extra_columns", [0, 8])
@pytest.mark.parametrize("centered", [False, True])
def test_gradients_and_norm_are_those_of_the_reference(centered, extra_columns):
    kernels = importlib.import_module("texlens.kernels.vision_block.triton")
    draw = torch.Generator().manual_seed(0)
    x, grad, addend = (torch.randn(5, 80, generator=draw).to(DEVICE)[:, :72] * 3 + 2 for _ in range(3))
    weight, bias = (torch.randn(72, generator=draw).to(DEVICE) for _ in range(2))
    arguments = grad, x, weight, bias if centered else None, 1e-6, addend
    dx, normed = kernels.norm_backward(*arguments, extra_columns)
    expected_dx, expected = reference.norm_backward(*arguments)
    assert dx.shape == (5, 72 + extra_columns)
    torch.testing.assert_close(dx[:, :72], expected_dx, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(normed, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("extra_columns", [0, 8])
@pytest.mark.parametrize("kind", ["gelu_tanh", "quick_gelu"])
def test_activations_and_their_gradients_are_those_of_the_reference(kind, extra_columns):
    kernels = importlib.import_module("texlens.kernels.vision_block.triton_gelu")
    draw = torch.Generator().manual_seed(0)
    x, grad = (torch.randn(5, 80, generator=draw).to(DEVICE)[:, :72] * 3 for _ in range(2))
    act = kernels.gelu(kind, x, extra_columns)
    assert act.shape == (5, 72 + extra_columns)
    torch.testing.assert_close(act[:, :72], reference.gelu(kind, x, 0), rtol=1e-5, atol=1e-5)
    results = kernels.gelu_backward(kind, grad, x, extra_columns)
    expected = reference.gelu_backward(kind, grad, x, 0)
    torch.testing.assert_close(results[0][:, :72], expected[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(results[1], expected[1], rtol=1e-5, atol=1e-5)
