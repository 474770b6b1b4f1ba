"""Products with stacks of experts in 8 or 4 bits, written out in the rows' dtype just before each product.

# S = rows sorted by expert, E = experts, X = written ones, N = width out, D = width in
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from texlens.kernels.experts.grouped import grouped


@runtime_checkable
class QuantizedStack(Protocol):
    """A frozen stack of weights. `shape`: [E, N, D]."""

    shape: tuple[int, int, int]

    def write(self, out: Float[Tensor, "X N D"], experts: Int[Tensor, " X"] | None = None) -> None:
        """Writes all experts, or those of these numbers, into `out`, whose experts and rows may be strided."""
        ...


def quantized_grouped(
    x: Float[Tensor, "S D"], stack: QuantizedStack, ends: Int[Tensor, " E"], *, transposed: bool = False
) -> Float[Tensor, "S N"]:
    """`grouped` with the stack, or with the transpose of each expert's weight; has no gradient of its own.

    With fewer rows than experts only the rows' own experts are written out, one for each row.
    """
    experts, height, width = stack.shape
    if len(x) < experts:
        return _by_row(x, stack, ends, transposed=transposed)
    weight = x.new_empty(experts, height, width)
    stack.write(weight)
    return grouped(x, weight.transpose(1, 2) if transposed else weight, ends)


def _by_row(x: Tensor, stack: QuantizedStack, ends: Tensor, *, transposed: bool) -> Tensor:
    rows = torch.arange(len(x), device=x.device, dtype=ends.dtype)
    experts = torch.searchsorted(ends, rows, right=True).clamp(max=len(ends) - 1)
    weight = x.new_empty(len(x), *stack.shape[1:])
    stack.write(weight, experts)
    return torch.bmm(weight.transpose(1, 2) if transposed else weight, x[:, :, None])[:, :, 0]


def quantized_product(x: Float[Tensor, "S D"], stack: QuantizedStack, ends: Int[Tensor, " E"]) -> Float[Tensor, "S N"]:
    """`quantized_grouped` with the gradient of x, for which the stack is written out again."""
    return _Product.apply(x, stack, ends)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, stack: QuantizedStack, ends: Tensor) -> Tensor:
        ctx.stack, ctx.ends = stack, ends
        return quantized_grouped(x, stack, ends)

    @staticmethod
    def backward(ctx, *grads: Tensor):
        return quantized_grouped(grads[0].contiguous(), ctx.stack, ctx.ends, transposed=True), None, None
