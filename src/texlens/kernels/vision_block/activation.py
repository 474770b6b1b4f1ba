"""The activations of the towers' MLPs and their gradients.

# P = patches, F = width of the MLP
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from texlens.kernels.elementwise.backend import ElementwiseKernels

Activation = Literal["gelu_tanh", "quick_gelu", "swiglu"]
QUICK = 1.702
"""GELU as x * sigmoid(1.702 x): Hendrycks and Gimpel 2016, arXiv:1606.08415."""


def activate(kind: Activation, kernels: ElementwiseKernels, x: Tensor) -> Tensor:
    """[P, F], from [P, F] or for SwiGLU from gate and up side by side [P, 2F]."""
    if kind == "swiglu":
        return kernels.swiglu(x)
    if kind == "gelu_tanh":
        return functional.gelu(x, approximate="tanh")
    return x * torch.sigmoid(QUICK * x)


def activation_backward(
    kind: Activation, kernels: ElementwiseKernels, grad: Tensor, x: Tensor, extra_columns: int = 0
) -> tuple[Tensor, Tensor]:
    """The gradient of x, with so many columns more, and the activation of x."""
    if kind == "swiglu":
        return kernels.swiglu_backward(grad, x, extra_columns)
    result = x.new_empty(len(x), x.shape[1] + extra_columns)
    left = result[:, : x.shape[1]]
    if kind == "gelu_tanh":
        left.copy_(torch.ops.aten.gelu_backward(grad, x, approximate="tanh"))
    else:
        float_dtype = torch.promote_types(x.dtype, torch.float32)
        values = x.to(float_dtype)
        sigmoid = torch.sigmoid(QUICK * values)
        left.copy_(grad.to(float_dtype) * sigmoid * (1 + QUICK * values * (1 - sigmoid)))
    return result, activate(kind, kernels, x)
