"""The activations of the towers' MLPs and their gradients.

Both forms of GELU are x * sigmoid(z): the tanh form has z = 2 sqrt(2 / pi) (x + 0.044715 x^3), since
1 + tanh(u) = 2 sigmoid(2 u), the quick form z = 1.702 x (Hendrycks and Gimpel 2016, arXiv:1606.08415).

# P = patches, F = width of the MLP
"""

from typing import Literal, Protocol, runtime_checkable

from torch import Tensor

from texlens.kernels.backends import Registry, runs_triton
from texlens.kernels.elementwise.backend import ElementwiseKernels

Activation = Literal["gelu_tanh", "quick_gelu", "swiglu"]


@runtime_checkable
class GeluKernels(Protocol):
    """`activate` and `activation_backward` for both forms of GELU."""

    def gelu(self, kind: Activation, x: Tensor, extra_columns: int) -> Tensor: ...

    def gelu_backward(self, kind: Activation, grad: Tensor, x: Tensor, extra_columns: int) -> tuple[Tensor, Tensor]: ...


def _reference() -> GeluKernels:
    from texlens.kernels.vision_block import reference

    return reference


def _triton() -> GeluKernels:
    from texlens.kernels.vision_block import triton_gelu

    return triton_gelu


BACKENDS: Registry[GeluKernels] = Registry(reference=_reference, triton=_triton)


def activate(kind: Activation, kernels: ElementwiseKernels, x: Tensor, extra_columns: int = 0) -> Tensor:
    """[P, F + extra_columns], from [P, F] or for SwiGLU from gate and up side by side [P, 2F]; the extra columns are
    not written."""
    return kernels.swiglu(x, extra_columns) if kind == "swiglu" else _gelu(x).gelu(kind, x, extra_columns)


def activation_backward(
    kind: Activation, kernels: ElementwiseKernels, grad: Tensor, x: Tensor, extra_columns: int = 0
) -> tuple[Tensor, Tensor]:
    """The gradient of x, with so many columns more, and the activation of x."""
    if kind == "swiglu":
        return kernels.swiglu_backward(grad, x, extra_columns)
    return _gelu(x).gelu_backward(kind, grad, x, extra_columns)


def _gelu(x: Tensor) -> GeluKernels:
    return BACKENDS["triton" if x.itemsize <= 4 and runs_triton(x.device) else "reference"]
