"""The operations between the grouped products of a mixture of experts as Triton kernels: launches.

# T = tokens, D = width, K = experts of a token, S = T K pairs sorted by expert, F = width of an expert
"""

import torch
import triton
from torch import Tensor

from texlens.kernels.experts.triton_kernels import (
    combine_kernel,
    gather_kernel,
    swiglu_backward_kernel,
    swiglu_kernel,
)


def gather(x: Tensor, tokens: Tensor, extra_columns: int = 0) -> Tensor:
    """`api.ExpertKernels.gather`."""
    width = x.shape[1]
    result = x.new_empty(len(tokens), width + extra_columns)
    gather_kernel[(len(tokens),)](x, tokens, result, x.stride(0), result.stride(0), width, **_launch(width))
    return result


def combine(
    y: Tensor, places: Tensor, weights: Tensor | None, addend: Tensor | None, dtype: torch.dtype | None = None
) -> Tensor:
    """`api.ExpertKernels.combine`."""
    tokens, count = places.shape
    width = y.shape[1]
    result = y.new_empty(tokens, width, dtype=dtype)
    combine_kernel[(tokens,)](
        y, places, y if weights is None else weights, y if addend is None else addend, result,
        y.stride(0), 0 if addend is None else addend.stride(0), width,
        COUNT=count, WEIGHTED=weights is not None, ADD=addend is not None, **_launch(width),
    )  # fmt: skip
    return result


def swiglu(gate_up: Tensor, extra_columns: int = 0) -> Tensor:
    """`api.ExpertKernels.swiglu`."""
    width = gate_up.shape[1] // 2
    result = gate_up.new_empty(len(gate_up), width + extra_columns)
    swiglu_kernel[(len(gate_up),)](gate_up, result, width, result.stride(0), **_launch(width))
    return result


def swiglu_backward(
    grad: Tensor, gate_up: Tensor, weights: Tensor, extra_columns: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """`api.ExpertKernels.swiglu_backward`."""
    pairs, width = len(gate_up), gate_up.shape[1] // 2
    dgate_up = gate_up.new_empty(pairs, 2 * width + extra_columns)
    act, grad_weights = gate_up.new_empty(pairs, width), gate_up.new_empty(pairs, dtype=torch.float32)
    swiglu_backward_kernel[(pairs,)](
        grad, gate_up, weights, dgate_up, act, grad_weights, grad.stride(0), dgate_up.stride(0), width, **_launch(width)
    )
    return dgate_up, act, grad_weights


def _launch(width: int) -> dict[str, int]:
    block = triton.next_power_of_2(width)
    return {"BLOCK": block, "num_warps": min(8, max(1, block // 512))}
