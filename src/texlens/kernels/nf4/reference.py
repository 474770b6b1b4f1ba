"""NF4 weights dequantized in PyTorch operations.

# E = experts, X = written ones, N = width out, D = width in, B = blocks
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from texlens.kernels.nf4.format import Nf4Weight


def dequantize_reference(weight: Nf4Weight, out: Float[Tensor, "N D"]) -> None:
    """`dequantize.dequantize` in PyTorch operations."""
    out.copy_(_values(weight))


def dequantize_experts_reference(weight: Nf4Weight, out: Float[Tensor, "X N D"], experts: Tensor | None = None) -> None:
    """`dequantize.dequantize_experts` in PyTorch operations."""
    values = _values(weight)
    out.copy_(values if experts is None else values[experts])


def _values(weight: Nf4Weight) -> Tensor:
    count = math.prod(weight.shape)
    indices = torch.stack([weight.packed >> 4, weight.packed & 15], 1).flatten()[:count]
    scales = block_scales(weight).repeat_interleave(weight.block)[:count]
    return (weight.values[indices.int()] * scales).view(weight.shape)


def block_scales(weight: Nf4Weight) -> Float[Tensor, " B"]:
    """A float32 for each block."""
    nested = weight.nested
    if nested is None:
        return weight.scales
    coarse = nested.scales.repeat_interleave(nested.group)[: len(weight.scales)]
    return nested.values[weight.scales.int()] * coarse + nested.offset
