"""NF4 weights dequantized in PyTorch operations.

# N = width out, D = width in, B = blocks
"""

import torch
from jaxtyping import Float
from torch import Tensor

from texlens.kernels.nf4.format import Nf4Weight


def dequantize_reference(weight: Nf4Weight, out: Float[Tensor, "N D"]) -> None:
    """`dequantize.dequantize` in PyTorch operations."""
    rows, columns = weight.shape
    count = rows * columns
    indices = torch.stack([weight.packed >> 4, weight.packed & 15], 1).flatten()[:count]
    scales = block_scales(weight).repeat_interleave(weight.block)[:count]
    out.copy_((weight.values[indices.int()] * scales).view(rows, columns))


def block_scales(weight: Nf4Weight) -> Float[Tensor, " B"]:
    """A float32 for each block."""
    nested = weight.nested
    if nested is None:
        return weight.scales
    coarse = nested.scales.repeat_interleave(nested.group)[: len(weight.scales)]
    return nested.values[weight.scales.int()] * coarse + nested.offset
