"""Linear layers in NF4 as the products that the fused layers take: written out just before each product, into one
place that all layers of a model use in turn.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from texlens.kernels.lora_linear.products import Adapter, Bordered
from texlens.kernels.nf4.format import Nf4Weight, nf4_weight
from texlens.models.packed.projections import adapters_of, base_of


class Scratch:
    """Room for the largest bordered weight of a model, made when it is first used; for products on one stream.

    `holder` is the product whose weight was written last.
    """

    def __init__(self):
        self.count = 0
        self.numbers: Tensor | None = None
        self.holder: object = None

    def reserve(self, count: int) -> None:
        self.count, self.numbers = max(self.count, count), None

    def place(self, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
        if self.numbers is None:
            self.numbers, self.holder = torch.zeros(self.count, dtype=dtype, device=device), None
        return self.numbers[: math.prod(shape)].view(*shape)


class Written(Bordered):
    """A bordered weight that lies in the scratch until another one is asked for."""

    def __init__(
        self, weights: tuple[Nf4Weight, ...], bias: Tensor | None, adapters: tuple[Adapter, ...], scratch: Scratch
    ):
        super().__init__(sum(weight.shape[0] for weight in weights), weights[0].shape[1], bias, adapters)
        self.weights, self.scratch = weights, scratch
        self.shape = self.height + self.ranks, self.width + self.ranks
        scratch.reserve(math.prod(self.shape))

    def whole(self) -> Tensor:
        first = self.weights[0]
        whole = self.scratch.place(self.shape, first.dtype, first.device)
        if self.changed() or self.scratch.holder is not self:
            self._write(whole)
            self.scratch.holder = self
        return whole

    @torch.no_grad()
    def _write(self, whole: Tensor) -> None:
        row = 0
        for weight in self.weights:
            weight.write(whole[row : row + weight.shape[0], : self.width])
            row += weight.shape[0]
        if self.ranks:
            right, below = whole[:row, self.width :], whole[row:, : self.width]
            if not self._fills_its_border():
                right.zero_()
                below.zero_()
            self.place(right, below)

    def _fills_its_border(self) -> bool:
        """Whether the only adapter takes all rows and columns of the border."""
        only = self.adapters[0]
        return (len(only.up), len(only.down)) == (self.height, self.ranks)


def stack_nf4(layers: Sequence[nn.Module], dtype: torch.dtype, scratch: Scratch) -> Written:
    """Layers of one input, all in NF4, as one product.

    Args:
        dtype: of the products.
    """
    bases: list[Any] = [base_of(layer) for layer in layers]
    weights = tuple(nf4_weight(base.weight, dtype) for base in bases)
    bias = None if bases[0].bias is None else torch.cat([base.bias.detach() for base in bases]).to(dtype)
    return Written(weights, bias, adapters_of(layers), scratch)
