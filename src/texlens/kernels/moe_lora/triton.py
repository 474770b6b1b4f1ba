"""The gates of MoE-LoRA as Triton kernels, one launch for all layers of a product.

# T = tokens, R = columns, E = experts of a layer
"""

import functools

import torch
import triton
from torch import Tensor

from texlens.kernels.moe_lora.gating import GatedState, Router
from texlens.kernels.moe_lora.triton_kernels import gate_backward_kernel, gate_kernel

_ROWS = 32


def forward(lora_a_out: Tensor, routers: tuple[Router, ...]) -> GatedState:
    tokens, columns = lora_a_out.shape
    gated = torch.empty_like(lora_a_out)
    experts = routers[0].experts
    probabilities = lora_a_out.new_empty(len(routers), tokens, experts, dtype=torch.float32)
    gate_kernel[(triton.cdiv(tokens, _ROWS),)](
        lora_a_out, gated, probabilities, tokens, columns, lora_a_out.stride(0),
        _table(_key(routers), lora_a_out.device), **_constants(routers, columns),
    )  # fmt: skip
    return GatedState(lora_a_out, gated, tuple(probabilities))


def backward(
    grad_gated: Tensor,
    state: GatedState,
    grad_probabilities: tuple[Tensor | None, ...],
    routers: tuple[Router, ...],
) -> Tensor:
    tokens, columns = grad_gated.shape
    grad = torch.empty_like(grad_gated)
    probabilities = state.probabilities[0]
    has_grads = any(part is not None for part in grad_probabilities)
    grad_chance = probabilities
    if has_grads:
        parts = [probabilities.new_zeros(probabilities.shape) if part is None else part for part in grad_probabilities]
        grad_chance = torch.stack(parts)
    gate_backward_kernel[(triton.cdiv(tokens, _ROWS),)](
        grad_gated, state.lora_a_out, grad, probabilities, grad_chance, tokens, columns,
        grad_gated.stride(0), state.lora_a_out.stride(0), _table(_key(routers), grad.device),
        HAS_GRADS=has_grads, **_constants(routers, columns),
    )  # fmt: skip
    return grad


def _key(routers: tuple[Router, ...]) -> tuple[tuple[int, int], ...]:
    return tuple((router.columns.start, router.rows.start) for router in routers)


@functools.lru_cache(maxsize=64)
def _table(key: tuple[tuple[int, int], ...], device: torch.device) -> Tensor:
    return torch.tensor(key, dtype=torch.int32, device=device)


def _constants(routers: tuple[Router, ...], columns: int) -> dict[str, int]:
    first = routers[0]
    return {
        "LAYERS": len(routers),
        "EXPERTS": first.experts,
        "RANK": first.rank,
        "TOP_K": first.top_k or first.experts,
        "PADDED_EXPERTS": triton.next_power_of_2(first.experts),
        "PADDED_RANK": triton.next_power_of_2(first.rank),
        "PADDED_COLUMNS": triton.next_power_of_2(columns),
        "ROWS": _ROWS,
    }
