import pytest
import torch

from tests.unit.adapters.moe_lora.layers import build_layer
from texlens.adapters.moe_lora.layer import MoeLoraLayer, keep_top


def by_the_formula(layer: MoeLoraLayer, x: torch.Tensor, top_k: int | None) -> torch.Tensor:
    """Token by token and expert by expert, as docs/explanation/adapters/moe-lora.md writes it."""
    a = layer.moe_lora_A["default"].weight.reshape(3, 2, 5)
    b = layer.moe_lora_B["default"].weight.reshape(4, 3, 2)
    rows = []
    for token in x:
        gates = torch.softmax(layer.moe_lora_router["default"].weight @ token, 0)
        if top_k:
            worst = gates.argsort(descending=True)[top_k:]
            gates = gates.clone()
            gates[worst] = 0
            gates = gates / gates.sum()
        rows.append(layer.base_layer(token) + 2.0 * sum(gates[e] * (b[:, e] @ (a[e] @ token)) for e in range(3)))
    return torch.stack(rows)


@pytest.mark.parametrize("top_k", [None, 1, 2])
def test_the_layer_computes_its_formula(top_k):
    layer, x = build_layer(top_k=top_k), torch.randn(6, 5)
    torch.testing.assert_close(layer(x), by_the_formula(layer, x, top_k), rtol=1e-5, atol=1e-5)


def test_a_shared_expert_is_added_to_every_token():
    layer, x = build_layer(shared_expert=True), torch.randn(6, 5)
    shared = layer.moe_lora_shared_B["default"](layer.moe_lora_shared_A["default"](x))
    torch.testing.assert_close(layer(x), by_the_formula(layer, x, None) + 2.0 * shared, rtol=1e-5, atol=1e-5)


def test_the_likeliest_experts_are_kept_and_their_weights_fill_up_to_1():
    gates = keep_top(torch.tensor([[0.5, 0.3, 0.2]]), 2)
    torch.testing.assert_close(gates, torch.tensor([[0.625, 0.375, 0.0]]))
