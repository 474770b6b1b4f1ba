"""The gates of MoE-LoRA in Triton (on a GPU, or with TRITON_INTERPRET=1), compared with the reference."""

import importlib

import pytest
import torch

from tests.unit.kernels.triton_here import DEVICE, needs_triton
from texlens.kernels.moe_lora import reference
from texlens.kernels.moe_lora.gating import Router

pytestmark = needs_triton
TOKENS = 37
"""More than a program's rows, and not a multiple of them."""


def routers(experts, rank, top_k, layers):
    """Of layers with one input: all adapters' columns, then all logits."""
    columns = experts * rank
    return tuple(
        Router(
            torch.empty(experts, 8),
            slice(number * columns, (number + 1) * columns),
            slice(layers * columns + number * experts, layers * columns + (number + 1) * experts),
            rank,
            top_k,
        )
        for number in range(layers)
    )


def drawn(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize(("experts", "rank", "top_k"), [(2, 8, None), (3, 5, 2), (4, 8, 1)])
def test_gates_and_gradients_are_those_of_the_reference(experts, rank, top_k, layers):
    kernels = importlib.import_module("texlens.kernels.moe_lora.triton")
    all_routers = routers(experts, rank, top_k, layers)
    columns = layers * experts * (rank + 1)
    x, grad = drawn(TOKENS, columns, seed=0), drawn(TOKENS, columns, seed=1)
    state, expected = kernels.forward(x, all_routers), reference.forward(x, all_routers)
    torch.testing.assert_close(state.gated, expected.gated, rtol=1e-5, atol=1e-6)
    for left, right in zip(state.probabilities, expected.probabilities, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-6)
    some = tuple(drawn(TOKENS, experts, seed=2 + number) if number != 1 else None for number in range(layers))
    for grad_probabilities in ((None,) * layers, some):
        result = kernels.backward(grad, state, grad_probabilities, all_routers)
        expected_result = reference.backward(grad, expected, grad_probabilities, all_routers)
        torch.testing.assert_close(result, expected_result, rtol=1e-4, atol=1e-5)
