"""Which experts each token goes to, and the order of the pairs of token and expert, sorted by expert on the device.

# T = tokens, D = width, E = experts, K = experts of a token, S = T K pairs
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Routing(NamedTuple):
    """
    Args:
        experts: [T, K], those of each token.
        tokens: [S], the token of each sorted pair.
        order: [S], the sorted pairs as places in [T, K].
        places: [T, K], where each pair is among the sorted ones.
        ends: int32 [E], where the pairs of each expert end.
    """

    experts: Int[Tensor, "T K"]
    tokens: Int[Tensor, " S"]
    order: Int[Tensor, " S"]
    places: Int[Tensor, "T K"]
    ends: Int[Tensor, " E"]


def route(x: Float[Tensor, "T D"], router: Float[Tensor, "E D"], top_k: int) -> tuple[Float[Tensor, "T K"], Routing]:
    """The weights of each token's experts, which sum to 1, and their order. Source: Qwen3 (arXiv:2505.09388)."""
    probabilities = (x @ router.T).softmax(-1, dtype=_float(x))
    values, experts = probabilities.topk(top_k, -1)
    return (values / values.sum(-1, keepdim=True)).to(x.dtype), sort_by_expert(experts, len(router))


def weights_of(
    x: Float[Tensor, "T D"], router: Float[Tensor, "E D"], experts: Int[Tensor, "T K"]
) -> Float[Tensor, "T K"]:
    """The weights of `route` for experts that were chosen before."""
    values = (x @ router.T).softmax(-1, dtype=_float(x)).gather(-1, experts)
    return (values / values.sum(-1, keepdim=True)).to(x.dtype)


def weights_backward(
    grad: Float[Tensor, "T K"], x: Float[Tensor, "T D"], router: Float[Tensor, "E D"], experts: Int[Tensor, "T K"]
) -> Float[Tensor, "T D"]:
    """The gradient of x through the weights."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        weights = weights_of(x, router.detach(), experts)
    return torch.autograd.grad(weights, x, grad.to(weights.dtype))[0]


def sort_by_expert(experts: Int[Tensor, "T K"], count: int) -> Routing:
    """
    Example:
        [[1, 0], [1, 2]], 3 -> tokens [0, 0, 1, 1], ends [1, 3, 4], places [[1, 0], [2, 3]]
    """
    expert_of_pair, order = experts.flatten().sort(stable=True)
    numbers = torch.arange(count, device=experts.device, dtype=expert_of_pair.dtype)
    ends = torch.searchsorted(expert_of_pair, numbers, right=True).to(torch.int32)
    places = torch.empty_like(order)
    places[order] = torch.arange(len(order), device=order.device)
    return Routing(experts, order // experts.shape[1], order, places.view_as(experts), ends)


def _float(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)
