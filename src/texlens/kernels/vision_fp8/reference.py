"""What lies between the products of a vision block in float8: each pass leaves the codes that the next product takes.

On a GPU one Triton kernel a pass (`triton_tower`); elsewhere the plain form, its twin.

# P = patches, D = width, H = heads, W = width of a head
"""

import importlib
import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from texlens.kernels.decoder_layer.reference import rotate
from texlens.kernels.fp8.format import quantize_rows_plainly

_TANH = 2 * math.sqrt(2 / math.pi)
GELUS = {"gelu_pytorch_tanh": (_TANH, 0.044715 * _TANH), "quick_gelu": (1.702, 0.0)}
"""Activations of the form x sigmoid(a x + b x^3), as a and b. Hendrycks and Gimpel 2016, arXiv:1606.08415."""

Codes = tuple[Tensor, Tensor]
"""Codes [P, D] and the scales of their rows, float32 [P, 1]."""


def norm_codes(
    x: Tensor, added: Tensor | None, weight: Tensor, bias: Tensor | None, eps: float
) -> tuple[Tensor, Codes]:
    """x + added [P, D], which may be written over `added`, and the codes of its norm: a layer norm, or a root mean
    square norm where there is no bias."""
    if x.is_cuda:
        return _kernels().norm_codes(x, added, weight, bias, eps)
    return norm_codes_plainly(x, added, weight, bias, eps)


def norm_codes_plainly(
    x: Tensor, added: Tensor | None, weight: Tensor, bias: Tensor | None, eps: float
) -> tuple[Tensor, Codes]:
    """`norm_codes` in PyTorch's operations."""
    total = x if added is None else x + added
    wide, shape = total.float(), (x.shape[-1],)
    if bias is None:
        normed = functional.rms_norm(wide, shape, weight.float(), eps)
    else:
        normed = functional.layer_norm(wide, shape, weight.float(), bias.float(), eps)
    return total, quantize_rows_plainly(normed)


def gelu_codes(x: Tensor, gelu: tuple[float, float]) -> Codes:
    """The codes of the activation of x [P, D]; `gelu` is one of `GELUS`."""
    if x.is_cuda:
        return _kernels().gelu_codes(x, gelu)
    return gelu_codes_plainly(x, gelu)


def gelu_codes_plainly(x: Tensor, gelu: tuple[float, float]) -> Codes:
    """`gelu_codes` in PyTorch's operations."""
    wide = x.float()
    return quantize_rows_plainly(wide * torch.sigmoid(wide * (gelu[0] + gelu[1] * wide * wide)))


def into_heads(y: Tensor, heads: int, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rotated queries and keys, and values, [P, H, W] each, from the q/k/v product [P, 3HW]; cos, sin [P, W], both
    halves alike."""
    query, key, value = y.unflatten(-1, (3, heads, -1)).unbind(1)
    if y.is_cuda:
        passes = importlib.import_module("texlens.kernels.elementwise.triton")
        query, key = passes.into_heads(y, heads, heads, query.shape[-1], None, 0.0, cos, sin)
        return query, key, value
    return rotate(query, cos, sin), rotate(key, cos, sin), value


def _kernels() -> Any:
    return importlib.import_module("texlens.kernels.vision_fp8.triton")
