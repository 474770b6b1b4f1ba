"""The gates of MoE-LoRA in PyTorch operations.

# T = tokens, R = columns, E = experts of a layer
"""

import torch
from torch import Tensor

from texlens.kernels.moe_lora.gating import GatedState, Router


def forward(lora_a_out: Tensor, routers: tuple[Router, ...]) -> GatedState:
    gated, probabilities = lora_a_out.clone(), []
    for router in routers:
        chance = _upcast(lora_a_out[:, router.rows]).softmax(-1)
        gates, _ = gates_of(chance, router.top_k)
        experts = gated[:, router.columns].unflatten(-1, (router.experts, router.rank))
        experts.mul_(gates[..., None].to(gated.dtype))
        gated[:, router.rows] = 0
        probabilities.append(chance)
    return GatedState(lora_a_out, gated, tuple(probabilities))


def backward(
    grad_gated: Tensor,
    state: GatedState,
    grad_probabilities: tuple[Tensor | None, ...],
    routers: tuple[Router, ...],
) -> Tensor:
    grad = grad_gated.clone()
    for router, chance, grad_chance in zip(routers, state.probabilities, grad_probabilities, strict=True):
        shape = router.experts, router.rank
        gates, kept_sum = gates_of(chance, router.top_k)
        grads = grad_gated[:, router.columns].unflatten(-1, shape)
        inputs = state.lora_a_out[:, router.columns].unflatten(-1, shape)
        grad_gates = (_upcast(grads) * _upcast(inputs)).sum(-1)
        grad[:, router.columns].unflatten(-1, shape).copy_(grads * gates[..., None].to(grads.dtype))
        grad[:, router.rows] = _grad_logits(grad_gates, gates, kept_sum, chance, grad_chance).to(grad.dtype)
    return grad


def gates_of(chance: Tensor, top_k: int | None) -> tuple[Tensor, Tensor | None]:
    """Gates [T, E], and the sum of the kept probabilities [T, 1] where only the largest are kept."""
    if top_k is None or top_k == chance.shape[-1]:
        return chance, None
    _, best = chance.topk(top_k, dim=-1)
    largest = torch.zeros_like(chance).scatter(-1, best, chance.gather(-1, best))
    kept_sum = largest.sum(-1, keepdim=True)
    return largest / kept_sum, kept_sum


def _grad_logits(
    grad_gates: Tensor, gates: Tensor, kept_sum: Tensor | None, chance: Tensor, grad_chance: Tensor | None
) -> Tensor:
    if kept_sum is not None:
        grad_gates = torch.where(gates > 0, grad_gates - (grad_gates * gates).sum(-1, keepdim=True), 0) / kept_sum
    total = grad_gates if grad_chance is None else grad_gates + grad_chance
    return chance * (total - (total * chance).sum(-1, keepdim=True))


def _upcast(x: Tensor) -> Tensor:
    return x.float() if x.itemsize < 4 else x
