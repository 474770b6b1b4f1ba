"""Products of dropped inputs against autograd with the same mask."""

import torch

from texlens.kernels.dropout.mask import DropoutSeed, LoraDropout
from texlens.kernels.dropout.reference import add_dropped_grad, dropped_product, dropped_sum


def test_forward_and_gradients_are_those_of_autograd():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, 16, generator=generator, requires_grad=True)
    lora_a = torch.randn(4, 16, generator=generator, requires_grad=True)
    grad = torch.randn(6, 4, generator=generator)
    dropout = LoraDropout(0.5, 3, DropoutSeed(torch.tensor([7])))
    mask = dropout.mask(6, 16, x.dtype)
    ((x * mask) @ lora_a.T).backward(grad)

    torch.testing.assert_close(dropped_product(x, lora_a, dropout), (x * mask) @ lora_a.T)
    torch.testing.assert_close(dropped_sum(grad, x, dropout), lora_a.grad)
    torch.testing.assert_close(add_dropped_grad(torch.zeros(6, 16), grad, lora_a.detach(), dropout), x.grad)
