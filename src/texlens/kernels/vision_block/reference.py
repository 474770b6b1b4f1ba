"""The norms and activations of a vision block in PyTorch operations; see `norm` and `activation`.

# P = patches, D = width, F = width of the MLP
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from texlens.kernels.decoder_layer.attention_half import with_extra_columns

QUICK, TANH, CUBE = 1.702, math.sqrt(2 / math.pi), 0.044715
"""Numbers of the quick and the tanh form of GELU."""


def add_norm(
    x: Tensor, residual: Tensor | None, weight: Tensor, bias: Tensor | None, eps: float, extra_columns: int = 0
) -> tuple[Tensor, Tensor]:
    total = x if residual is None else x + residual
    if bias is None:
        values = total.to(torch.promote_types(total.dtype, torch.float32))
        normed = (functional.rms_norm(values, weight.shape, None, eps)).to(total.dtype) * weight
    else:
        normed = functional.layer_norm(total, weight.shape, weight, bias, eps)
    return total, with_extra_columns(normed, extra_columns)


def norm_backward(
    grad: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, eps: float, addend: Tensor, extra_columns: int = 0
) -> tuple[Tensor, Tensor]:
    if bias is None:
        float_dtype = torch.promote_types(x.dtype, torch.float32)
        values = x.to(float_dtype)
        inverse = torch.rsqrt(values.pow(2).mean(-1, keepdim=True) + eps)
        normed, grad_normed = values * inverse, grad.to(float_dtype) * weight.to(float_dtype)
        dx = ((grad_normed - normed * (grad_normed * normed).mean(-1, keepdim=True)) * inverse).to(x.dtype)
        normed = normed.to(x.dtype) * weight
    else:
        normed, mean, inverse = torch.native_layer_norm(x, weight.shape, weight, bias, eps)
        dx, *_ = torch.ops.aten.native_layer_norm_backward(
            grad.contiguous(), x, weight.shape, mean, inverse, weight, bias, [True, False, False]
        )
    return with_extra_columns(dx.add_(addend), extra_columns), normed


def gelu(kind: str, x: Tensor, extra_columns: int) -> Tensor:
    result = x.new_empty(len(x), x.shape[1] + extra_columns)
    left = result[:, : x.shape[1]]
    if kind == "gelu_tanh":
        torch.ops.aten.gelu.out(x, approximate="tanh", out=left)
    else:
        torch.mul(x, torch.sigmoid(QUICK * x), out=left)
    return result


def gelu_backward(kind: str, grad: Tensor, x: Tensor, extra_columns: int) -> tuple[Tensor, Tensor]:
    result = x.new_empty(len(x), x.shape[1] + extra_columns)
    left = result[:, : x.shape[1]]
    if kind == "gelu_tanh":
        torch.ops.aten.gelu_backward.grad_input(grad, x, approximate="tanh", grad_input=left)
    else:
        float_dtype = torch.promote_types(x.dtype, torch.float32)
        values = x.to(float_dtype)
        sigmoid = torch.sigmoid(QUICK * values)
        left.copy_(grad.to(float_dtype) * sigmoid * (1 + QUICK * values * (1 - sigmoid)))
    return result, gelu(kind, x, 0)
