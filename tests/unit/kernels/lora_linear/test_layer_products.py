"""What layers that run as one function share."""

from types import SimpleNamespace

import torch

from texlens.kernels.lora_linear.layer_products import LayerProducts, router_probabilities
from texlens.kernels.moe_lora.gating import GatedState, Router


class Products(LayerProducts):
    def __init__(self, *products):
        self._products = products

    @property
    def products(self):
        return self._products


def product(*logs):
    routers = tuple(Router(torch.empty(2, 4), slice(0, 2), slice(2, 4), 1, None, log=log) for log in logs)
    gating = SimpleNamespace(all=routers, grad_probabilities=()) if routers else None
    calls = []
    return SimpleNamespace(
        gating=gating, trained=lambda: [torch.tensor(float(len(logs)))], invalidate=lambda: calls.append(1), calls=calls
    )


def test_gradients_and_probabilities_reach_the_routers_in_order():
    logged = []
    layer = Products(product(logged.append, None), product(), product(logged.append))
    assert len(layer.routers) == 3
    grads = [torch.tensor(1.0), None, torch.tensor(3.0)]
    layer.set_grad_probabilities(grads)
    first, _, last = layer.products
    assert (first.gating.grad_probabilities, last.gating.grad_probabilities) == ((grads[0], None), (grads[2],))
    chances = [torch.tensor(value) for value in (0.1, 0.2, 0.3)]
    layer.log_probabilities(chances)
    assert logged == [chances[0], chances[2]]


def test_every_product_is_trained_and_invalidated():
    layer = Products(product(), product(None))
    assert [part.item() for part in layer.trained()] == [0.0, 1.0]
    layer.invalidate()
    assert [part.calls for part in layer.products] == [[1], [1]]


def test_only_gated_states_have_probabilities():
    chance = torch.tensor([[0.5, 0.5]])
    states = [None, torch.empty(1, 2), GatedState(torch.empty(1, 2), torch.empty(1, 2), (chance,))]
    assert router_probabilities(states) == [chance]
