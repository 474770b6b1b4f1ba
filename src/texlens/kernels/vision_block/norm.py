"""The norms of a vision block, a layer norm or without a bias an RMS norm, with the sums around them.

# P = patches, D = width
"""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from texlens.kernels.backends import Registry, runs_triton


@runtime_checkable
class NormKernels(Protocol):
    """See the functions of this file."""

    def add_norm(
        self, x: Tensor, residual: Tensor | None, weight: Tensor, bias: Tensor | None, eps: float, extra_columns: int
    ) -> tuple[Tensor, Tensor]: ...

    def norm_backward(
        self,
        grad: Tensor,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        eps: float,
        addend: Tensor,
        extra_columns: int,
    ) -> tuple[Tensor, Tensor]: ...


def _reference() -> NormKernels:
    from texlens.kernels.vision_block import reference

    return reference


def _triton() -> NormKernels:
    from texlens.kernels.vision_block import triton

    return triton


BACKENDS: Registry[NormKernels] = Registry(reference=_reference, triton=_triton)


def add_norm(
    x: Float[Tensor, "P D"],
    residual: Float[Tensor, "P D"] | None,
    weight: Float[Tensor, " D"],
    bias: Float[Tensor, " D"] | None,
    eps: float,
    extra_columns: int = 0,
) -> tuple[Float[Tensor, "P D"], Float[Tensor, "P columns"]]:
    """x + residual and its norm; the norm has `extra_columns` columns more, whose values are undefined."""
    return _kernels(x).add_norm(x, residual, weight, bias, eps, extra_columns)


def norm_backward(
    grad: Float[Tensor, "P D"],
    x: Float[Tensor, "P D"],
    weight: Float[Tensor, " D"],
    bias: Float[Tensor, " D"] | None,
    eps: float,
    addend: Float[Tensor, "P D"],
    extra_columns: int = 0,
) -> tuple[Float[Tensor, "P columns"], Float[Tensor, "P D"]]:
    """The gradient of x plus `addend`, with `extra_columns` columns more, whose values are undefined; and the norm of
    x. Rows of `grad` and `addend` may be strided."""
    return _kernels(x).norm_backward(grad, x, weight, bias, eps, addend, extra_columns)


def _kernels(x: Tensor) -> NormKernels:
    return BACKENDS["triton" if x.itemsize <= 4 and runs_triton(x.device) else "reference"]
