"""One fused product as an autograd function, for linear layers outside of fused layers (the vision merger's).

# T = rows, D = width in, N = width out
"""

from contextlib import nullcontext

import torch
from jaxtyping import Float
from torch import Tensor

from texlens.kernels.dropout.mask import DropoutSeed
from texlens.kernels.lora_linear.fused_linear import FusedLinear


def fused_linear(
    product: FusedLinear, x: Float[Tensor, "T D"], seed: DropoutSeed | None = None
) -> Float[Tensor, "T N"]:
    """x @ (W + B @ A).T + bias with gradients of x and the adapters; not for products with routers."""
    return _FusedLinear.apply(product, seed, x, *product.trained())


class _FusedLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, product, seed, x, *trained):
        y, state = product.forward(x)
        ctx.product, ctx.x, ctx.state, ctx.source = product, x, state, seed
        ctx.seed = None if seed is None else seed.value
        return y

    @staticmethod
    def backward(ctx, grad):  # pyrefly: ignore[bad-override]
        product, x, state = ctx.product, ctx.x, ctx.state
        ctx.x = ctx.state = None
        with ctx.source.replaced_by(ctx.seed) if ctx.source else nullcontext():
            if not ctx.needs_input_grad[2]:
                dx, (grad_lora_a_out, grad_lora_b) = None, product.lora_b_grads(grad.contiguous(), state)
            else:
                columns = product.extra_columns
                rows = grad.new_empty(len(grad), product.height + columns)
                rows[:, : product.height] = grad
                dx, grad_lora_a_out, grad_lora_b = product.backward(rows, state)
            grads = product.parameter_grads(product.lora_a_grad(grad_lora_a_out, x), grad_lora_b)
        return None, None, dx, *grads
