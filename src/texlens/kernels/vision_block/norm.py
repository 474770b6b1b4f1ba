"""The norms of a vision block, a layer norm or without a bias an RMS norm, with the sum before them.

# P = patches, D = width
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from texlens.kernels.backends import Registry, runs_triton


@runtime_checkable
class AddNorm(Protocol):
    """See `add_norm`."""

    def __call__(
        self, x: Tensor, residual: Tensor | None, weight: Tensor, bias: Tensor | None, eps: float, extra_columns: int
    ) -> tuple[Tensor, Tensor]: ...


def add_norm_reference(
    x: Tensor, residual: Tensor | None, weight: Tensor, bias: Tensor | None, eps: float, extra_columns: int = 0
) -> tuple[Tensor, Tensor]:
    """`add_norm` in PyTorch operations."""
    total = x if residual is None else x + residual
    if bias is None:
        values = total.to(torch.promote_types(total.dtype, torch.float32))
        normed = (functional.rms_norm(values, weight.shape, None, eps)).to(total.dtype) * weight
    else:
        normed = functional.layer_norm(total, weight.shape, weight, bias, eps)
    if not extra_columns:
        return total, normed
    result = normed.new_empty(len(normed), normed.shape[1] + extra_columns)
    result[:, : normed.shape[1]] = normed
    return total, result


def _reference() -> AddNorm:
    return add_norm_reference


def _triton() -> AddNorm:
    from texlens.kernels.vision_block.triton import add_norm as triton_add_norm

    return triton_add_norm


BACKENDS: Registry[AddNorm] = Registry(reference=_reference, triton=_triton)


def add_norm(
    x: Float[Tensor, "P D"],
    residual: Float[Tensor, "P D"] | None,
    weight: Float[Tensor, " D"],
    bias: Float[Tensor, " D"] | None,
    eps: float,
    extra_columns: int = 0,
) -> tuple[Float[Tensor, "P D"], Float[Tensor, "P columns"]]:
    """x + residual and its norm; the norm has `extra_columns` columns more, whose values are undefined."""
    name = "triton" if x.itemsize <= 4 and runs_triton(x.device) else "reference"
    return BACKENDS[name](x, residual, weight, bias, eps, extra_columns)


def norm_backward(
    grad: Float[Tensor, "P D"],
    x: Float[Tensor, "P D"],
    weight: Float[Tensor, " D"],
    bias: Float[Tensor, " D"] | None,
    eps: float,
) -> tuple[Float[Tensor, "P D"], Float[Tensor, "P D"]]:
    """The gradient of x and the norm of x."""
    if bias is None:
        float_dtype = torch.promote_types(x.dtype, torch.float32)
        values = x.to(float_dtype)
        inverse = torch.rsqrt(values.pow(2).mean(-1, keepdim=True) + eps)
        normed, grad_normed = values * inverse, grad.to(float_dtype) * weight.to(float_dtype)
        dx = (grad_normed - normed * (grad_normed * normed).mean(-1, keepdim=True)) * inverse
        return dx.to(x.dtype), normed.to(x.dtype) * weight
    normed, mean, inverse = torch.native_layer_norm(x, weight.shape, weight, bias, eps)
    mask = [True, False, False]
    dx, *_ = torch.ops.aten.native_layer_norm_backward(
        grad.contiguous(), x, weight.shape, mean, inverse, weight, bias, mask
    )
    return dx, normed
