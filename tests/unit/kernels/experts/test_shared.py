"""The expert that all tokens share, compared with the stock module under autograd."""

import torch
from torch import nn
from torch.nn.functional import silu

from texlens.kernels.elementwise import cpu
from texlens.kernels.experts.shared import SharedExpertLayer
from texlens.models.packed.projections import stack


def test_the_output_and_the_gradient_of_the_input_are_those_of_autograd():
    torch.manual_seed(0)
    gate, up, share = nn.Linear(6, 4, bias=False), nn.Linear(6, 4, bias=False), nn.Linear(6, 1, bias=False)
    down = nn.Linear(4, 6, bias=False)
    layer = SharedExpertLayer(stack((gate, up)), stack((down,)), share.weight.detach())
    normed, residual, grad = torch.randn(5, 6, requires_grad=True), torch.randn(5, 6), torch.randn(5, 6)
    expected = residual + share(normed).sigmoid() * down(silu(gate(normed)) * up(normed))
    (expected_grad,) = torch.autograd.grad(expected, normed, grad)
    with torch.no_grad():
        saved = layer.first_product(normed)
        result, _ = layer.add_output(cpu, saved, residual)
        of_normed, of_adapters = layer.backward(cpu, grad, normed, saved)
        recomputed, _ = layer.backward(cpu, grad, normed, saved._replace(gate_up=None))
    torch.testing.assert_close(result, expected)
    torch.testing.assert_close(of_normed, expected_grad)
    assert torch.equal(recomputed, of_normed)
    assert of_adapters == []
