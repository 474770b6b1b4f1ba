"""Linear layers in NF4 as the products that the fused layers take: dequantized just before each product, into one
buffer that all layers of a model share.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from texlens.kernels.adapter import Adapter
from texlens.kernels.dropout.mask import LoraDropout
from texlens.kernels.lora_linear.augmented import AugmentedLinear
from texlens.kernels.moe_lora.api import Gating
from texlens.kernels.nf4.dequantize import dequantize
from texlens.kernels.nf4.format import Nf4Weight, nf4_weight
from texlens.models.packed.projections import LoraOptions, adapters_of, base_of


class WeightBuffer:
    """Memory for the largest augmented weight of a model, allocated at first use; for products on one stream.

    `owner` is the product whose weight was written last.
    """

    def __init__(self):
        self.count = 0
        self.values: Tensor | None = None
        self.owner: object = None

    def reserve(self, count: int) -> None:
        self.count, self.values = max(self.count, count), None

    def view(self, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
        if self.values is None:
            self.values, self.owner = torch.zeros(self.count, dtype=dtype, device=device), None
        return self.values[: math.prod(shape)].view(*shape)


class Nf4FusedLinear(AugmentedLinear):
    """An augmented weight that is in the buffer until that of another product is asked for."""

    def __init__(
        self,
        weights: tuple[Nf4Weight, ...],
        bias: Tensor | None,
        adapters: tuple[Adapter, ...],
        buffer: WeightBuffer,
        dropout: LoraDropout | None = None,
        gating: Gating | None = None,
    ):
        height = sum(weight.shape[0] for weight in weights)
        super().__init__(height, weights[0].shape[1], bias, adapters, dropout, gating)
        self.weights, self.buffer = weights, buffer
        self.shape = self.height + self.ranks, self.width + self.ranks
        buffer.reserve(math.prod(self.shape))

    def augmented_weight(self) -> Tensor:
        first = self.weights[0]
        augmented = self.buffer.view(self.shape, first.dtype, first.device)
        if self.take_changes() or self.buffer.owner is not self:
            self._write(augmented)
            self.buffer.owner = self
        return augmented

    @torch.no_grad()
    def _write(self, augmented: Tensor) -> None:
        row = 0
        for weight in self.weights:
            dequantize(weight, augmented[row : row + weight.shape[0], : self.width])
            row += weight.shape[0]
        if self.ranks:
            lora_b, lora_a = augmented[:row, self.width :], augmented[row:, : self.width]
            if not self._fills_extra_columns():
                lora_b.zero_()
                lora_a.zero_()
            self.write_adapters(lora_b, lora_a)

    def _fills_extra_columns(self) -> bool:
        """Whether the first adapter takes all extra rows and columns."""
        adapter = self.adapters[0]
        return (len(adapter.lora_b), len(adapter.lora_a)) == (self.height, self.ranks)


def stack_nf4(
    layers: Sequence[nn.Module], dtype: torch.dtype, buffer: WeightBuffer, options: LoraOptions | None = None
) -> Nf4FusedLinear:
    """Layers of one input, all in NF4, as one product.

    Args:
        dtype: of the products.
    """
    bases: list[Any] = [base_of(layer) for layer in layers]
    weights = tuple(nf4_weight(base.weight, dtype) for base in bases)
    bias = None if bases[0].bias is None else torch.cat([base.bias.detach() for base in bases]).to(dtype)
    variant = (options or LoraOptions()).variant(layers)
    return Nf4FusedLinear(weights, bias, adapters_of(layers), buffer, *variant)
