"""Gated attention between its products as Triton kernels, forward and backward, outside autograd.

Gradients are written to the columns of the first product's gradient, so that nothing is concatenated.

# T = tokens, H = query heads, G = key/value heads, W = width of a head, R = columns that turn
# N = columns of the first product
"""

from collections.abc import Callable
from typing import Any

import triton
from torch import Tensor

from texlens.kernels.attention import triton as attention
from texlens.kernels.attention.segments import Segments
from texlens.kernels.gated_attention import triton_kernels
from texlens.kernels.gated_attention.heads import GatedHeads

_ROWS, _WARPS = 8, 4


def gated_attention(
    heads: GatedHeads,
    y: Tensor,
    cos: Tensor,
    sin: Tensor,
    segments: Segments,
    *,
    extra_columns: tuple[int, int] = (0, 0),
) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """See `api.GatedAttentionKernels.gated_attention`."""
    query, key = split(heads, y, cos, sin)
    value, bounds, prefixes = heads.values(y), segments.cu_seqlens, segments.prefixes
    output, log_sums = attention.forward(query, key, value, bounds, causal=True, prefixes=prefixes)
    result = gate(heads, output, y, extra_columns[0])

    def backward(grad: Tensor) -> Tensor:
        dy = y.new_empty(len(y), heads.columns + extra_columns[1])
        of_output = gate_backward(heads, grad, output, y, dy)
        dquery, dkey, dvalue = attention.backward(
            of_output, query, key, value, output, log_sums, bounds, causal=True, prefixes=prefixes
        )
        split_backward(heads, dquery, dkey, y, cos, sin, dy)
        heads.values(dy).copy_(dvalue)
        return dy

    return result, backward


def split(heads: GatedHeads, y: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    """Normed and turned queries [T, H, W] and keys [T, G, W]."""
    tokens = len(y)
    query, key = (y.new_empty(tokens, count, heads.width) for count in (heads.queries, heads.keys))
    rows = tokens * (heads.queries + heads.keys)
    triton_kernels.split_kernel[(triton.cdiv(rows, _ROWS),)](
        y, heads.query_norm, heads.key_norm, cos, sin, query, key, rows, y.stride(0), heads.eps,
        G=heads.keys, TURNING=cos.shape[1], **_constants(heads),
    )  # fmt: skip
    return query, key


def split_backward(
    heads: GatedHeads, dquery: Tensor, dkey: Tensor, y: Tensor, cos: Tensor, sin: Tensor, dy: Tensor
) -> None:
    """Writes the gradients of the columns of queries and keys to `dy`."""
    rows = len(y) * (heads.queries + heads.keys)
    triton_kernels.split_backward_kernel[(triton.cdiv(rows, _ROWS),)](
        dquery, dkey, y, heads.query_norm, heads.key_norm, cos, sin, dy, rows, y.stride(0), dy.stride(0), heads.eps,
        G=heads.keys, TURNING=cos.shape[1], **_constants(heads),
    )  # fmt: skip


def gate(heads: GatedHeads, output: Tensor, y: Tensor, extra_columns: int = 0) -> Tensor:
    """output * sigmoid(gate), [T, H W + extra_columns]."""
    tokens, count, width = output.shape
    result = output.new_empty(tokens, count * width + extra_columns)
    triton_kernels.gate_kernel[(triton.cdiv(tokens * count, _ROWS),)](
        output, y, result, tokens * count, output.stride(0), y.stride(0), result.stride(0), **_constants(heads)
    )
    return result


def gate_backward(heads: GatedHeads, grad: Tensor, output: Tensor, y: Tensor, dy: Tensor) -> Tensor:
    """The gradient of the output [T, H, W]; that of the gates is written to `dy`."""
    grad = grad if grad.stride(1) == 1 else grad.contiguous()
    of_output = output.new_empty(output.shape)
    rows = len(y) * heads.queries
    triton_kernels.gate_backward_kernel[(triton.cdiv(rows, _ROWS),)](
        grad, output, y, of_output, dy, rows, grad.stride(0), output.stride(0), y.stride(0), dy.stride(0),
        **_constants(heads),
    )  # fmt: skip
    return of_output


def _constants(heads: GatedHeads) -> dict[str, Any]:
    return {
        "H": heads.queries,
        "WIDTH": heads.width,
        "PADDED": triton.next_power_of_2(heads.width),
        "ROWS": _ROWS,
        "num_warps": _WARPS,
    }
