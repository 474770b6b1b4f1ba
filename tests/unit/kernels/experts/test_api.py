"""Every backend of the operations between grouped products equals the reference and autograd."""

import importlib.util
import os

import pytest
import torch
from torch.nn import functional

from texlens.kernels.experts.api import BACKENDS
from texlens.kernels.experts.routing import sort_by_expert

with_triton = pytest.mark.skipif(
    not importlib.util.find_spec("triton") or os.environ.get("TRITON_INTERPRET") != "1",
    reason="not in Triton's interpreter",
)
NAMES = ["reference", pytest.param("triton", marks=with_triton)]


@pytest.mark.parametrize("name", NAMES)
def test_rows_go_to_their_experts_and_come_back_weighted(name):
    kernels, routing = BACKENDS[name], sort_by_expert(torch.tensor([[1, 0], [1, 2], [0, 2]]), 3)
    x, weights, addend = torch.randn(3, 6), torch.rand(3, 2), torch.randn(3, 6)
    pairs = kernels.gather(x, routing.tokens, 2)
    assert pairs.shape == (6, 8)
    torch.testing.assert_close(pairs[:, :6], x[routing.tokens])
    y = torch.randn(6, 6)
    expected = (y[routing.places] * weights[..., None]).sum(1)
    torch.testing.assert_close(kernels.combine(y, routing.places, weights, addend), expected + addend)
    torch.testing.assert_close(kernels.combine(y, routing.places, None, None), y[routing.places].sum(1))


@pytest.mark.parametrize("name", NAMES)
def test_swiglu_and_the_gradient_of_its_weighted_result_are_autograds(name):
    kernels = BACKENDS[name]
    gate_up, weights = torch.randn(5, 12, requires_grad=True), torch.rand(5, requires_grad=True)
    gate, up = gate_up.chunk(2, -1)
    act, grad = functional.silu(gate) * up, torch.randn(5, 6)
    torch.testing.assert_close(kernels.swiglu(gate_up.detach(), 3)[:, :6], act)
    expected = torch.autograd.grad(act * weights[:, None], (gate_up, weights), grad)
    dgate_up, weighted, grad_weights = kernels.swiglu_backward(grad, gate_up.detach(), weights.detach(), 4)
    assert dgate_up.shape == (5, 16)
    torch.testing.assert_close(dgate_up[:, :12], expected[0])
    torch.testing.assert_close(grad_weights, expected[1])
    torch.testing.assert_close(weighted, (act * weights[:, None]).detach())
