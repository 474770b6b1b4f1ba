"""The operations between the grouped products of a mixture of experts, in PyTorch.

# T = tokens, D = width, K = experts of a token, S = T K pairs sorted by expert, F = width of an expert
"""

import torch
from torch import Tensor
from torch.nn import functional


def gather(x: Tensor, tokens: Tensor, extra_columns: int = 0) -> Tensor:
    """`api.ExpertKernels.gather`."""
    result = x.new_empty(len(tokens), x.shape[1] + extra_columns)
    result[:, : x.shape[1]] = x[tokens]
    return result


def combine(
    y: Tensor, places: Tensor, weights: Tensor | None, addend: Tensor | None, dtype: torch.dtype | None = None
) -> Tensor:
    """`api.ExpertKernels.combine`."""
    parts = y[places].to(_float_dtype(y))
    if weights is not None:
        parts = parts * weights[..., None].to(parts.dtype)
    total = parts.sum(1)
    return (total if addend is None else total + addend).to(dtype or y.dtype)


def swiglu(gate_up: Tensor, extra_columns: int = 0) -> Tensor:
    """`api.ExpertKernels.swiglu`."""
    gate, up = gate_up.to(_float_dtype(gate_up)).chunk(2, -1)
    result = gate_up.new_empty(len(gate), gate.shape[1] + extra_columns)
    result[:, : gate.shape[1]] = functional.silu(gate) * up
    return result


def swiglu_backward(
    grad: Tensor, gate_up: Tensor, weights: Tensor, extra_columns: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """`api.ExpertKernels.swiglu_backward`."""
    float_dtype = _float_dtype(gate_up)
    gate, up = gate_up.to(float_dtype).chunk(2, -1)
    sigmoid = gate.sigmoid()
    act, grad, weight = gate * sigmoid * up, grad.to(float_dtype), weights.to(float_dtype)[:, None]
    grad_weights = (grad * act).sum(-1)
    grad = grad * weight
    result = gate_up.new_empty(len(gate_up), gate_up.shape[1] + extra_columns)
    left = result[:, : gate_up.shape[1]]
    left.copy_(torch.cat([grad * up * sigmoid * (1 + gate * (1 - sigmoid)), grad * gate * sigmoid], -1))
    return result, (act * weight).to(gate_up.dtype), grad_weights


def _float_dtype(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)
