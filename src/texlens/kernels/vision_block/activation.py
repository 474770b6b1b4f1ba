"""The activations of the towers' MLPs and their gradients.

# P = patches, F = width of the MLP
"""

from typing import Literal

import torch
from torch import Tensor

from texlens.kernels.elementwise.backend import ElementwiseKernels

Activation = Literal["gelu_tanh", "quick_gelu", "swiglu"]
QUICK = 1.702
"""GELU as x * sigmoid(1.702 x): Hendrycks and Gimpel 2016, arXiv:1606.08415."""


def activate(kind: Activation, kernels: ElementwiseKernels, x: Tensor, extra_columns: int = 0) -> Tensor:
    """[P, F + extra_columns], from [P, F] or for SwiGLU from gate and up side by side [P, 2F]; the extra columns are
    not written."""
    if kind == "swiglu":
        return kernels.swiglu(x, extra_columns)
    result = x.new_empty(len(x), x.shape[1] + extra_columns)
    left = result[:, : x.shape[1]]
    if kind == "gelu_tanh":
        torch.ops.aten.gelu.out(x, approximate="tanh", out=left)
    else:
        torch.mul(x, torch.sigmoid(QUICK * x), out=left)
    return result


def activation_backward(
    kind: Activation, kernels: ElementwiseKernels, grad: Tensor, x: Tensor, extra_columns: int = 0
) -> tuple[Tensor, Tensor]:
    """The gradient of x, with so many columns more, and the activation of x."""
    if kind == "swiglu":
        return kernels.swiglu_backward(grad, x, extra_columns)
    result = x.new_empty(len(x), x.shape[1] + extra_columns)
    left = result[:, : x.shape[1]]
    if kind == "gelu_tanh":
        torch.ops.aten.gelu_backward.grad_input(grad, x, approximate="tanh", grad_input=left)
    else:
        float_dtype = torch.promote_types(x.dtype, torch.float32)
        values = x.to(float_dtype)
        sigmoid = torch.sigmoid(QUICK * values)
        left.copy_(grad.to(float_dtype) * sigmoid * (1 + QUICK * values * (1 - sigmoid)))
    return result, activate(kind, kernels, x)
