"""The gates of MoE-LoRA: values by hand, gradients by autograd."""

import pytest
import torch

from texlens.kernels.moe_lora.gating import Router
from texlens.kernels.moe_lora.reference import backward, forward, gates_of


def router(experts, rank, top_k):
    columns = experts * rank
    return Router(torch.empty(experts, 8), slice(0, columns), slice(columns, columns + experts), rank, top_k)


def test_the_largest_gates_are_kept_and_fill_up_to_one():
    chance = torch.tensor([[0.5, 0.3, 0.2]])
    gates, kept_sum = gates_of(chance, 2)
    torch.testing.assert_close(gates, torch.tensor([[0.625, 0.375, 0.0]]))
    torch.testing.assert_close(kept_sum, torch.tensor([[0.8]]))
    assert gates_of(chance, None) == (chance, None)


@pytest.mark.parametrize("top_k", [None, 2])
def test_gradients_are_those_of_autograd(top_k):
    experts, rank, tokens = 3, 2, 5
    layer, generator = router(experts, rank, top_k), torch.Generator().manual_seed(0)
    x = torch.randn(tokens, experts * rank + experts, dtype=torch.float64, generator=generator, requires_grad=True)
    grad = torch.randn(tokens, experts * rank + experts, dtype=torch.float64, generator=generator)
    grad_chance = torch.randn(tokens, experts, dtype=torch.float64, generator=generator)

    chance = x[:, layer.rows].softmax(-1)
    gates, _ = gates_of(chance, top_k)
    gated = (x[:, layer.columns].unflatten(-1, (experts, rank)) * gates[..., None]).flatten(1)
    ((gated * grad[:, layer.columns]).sum() + (chance * grad_chance).sum()).backward()

    state = forward(x.detach(), (layer,))
    torch.testing.assert_close(state.gated[:, layer.columns], gated.detach())
    assert state.gated[:, layer.rows].eq(0).all()
    torch.testing.assert_close(backward(grad, state, (grad_chance,), (layer,)), x.grad)
