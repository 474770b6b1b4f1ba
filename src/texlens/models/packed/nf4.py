"""Linear layers in NF4 as the products that the fused layers take: dequantized just before each product, into one
buffer that all layers of a model share.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from texlens.kernels.adapter import Adapter
from texlens.kernels.dropout.mask import LoraDropout
from texlens.kernels.moe_lora.api import Gating
from texlens.kernels.nf4.dequantize import dequantize
from texlens.kernels.nf4.format import Nf4Weight, nf4_weight
from texlens.models.packed.projections import LoraOptions, adapters_of, base_of
from texlens.models.packed.weight_buffer import BufferedLinear, WeightBuffer


class Nf4FusedLinear(BufferedLinear):
    """Stacked weights in NF4."""

    def __init__(
        self,
        weights: tuple[Nf4Weight, ...],
        bias: Tensor | None,
        adapters: tuple[Adapter, ...],
        buffer: WeightBuffer,
        dropout: LoraDropout | None = None,
        gating: Gating | None = None,
    ):
        height, (first, *_) = sum(weight.shape[0] for weight in weights), weights
        tensor_options: dict[str, Any] = {"dtype": first.dtype, "device": first.device}
        super().__init__(height, first.shape[1], bias, adapters, buffer, dropout, gating, **tensor_options)
        self.weights = weights

    def write_weight(self, weight: Tensor) -> None:
        row = 0
        for part in self.weights:
            dequantize(part, weight[row : row + part.shape[0]])
            row += part.shape[0]


class GatheredNf4Linear(BufferedLinear):
    """Stacked layers whose bytes are divided over processes; they are read from the modules at each use, because FSDP
    replaces the parameters of a module when it gathers and frees them."""

    def __init__(
        self, layers: Sequence[nn.Module], dtype: torch.dtype, buffer: WeightBuffer, options: LoraOptions | None = None
    ):
        self.bases: list[Any] = [base_of(layer) for layer in layers]
        first = self.bases[0]
        tensor_options: dict[str, Any] = {"dtype": dtype, "device": first.weight.device}
        sides = _joined_bias(self.bases, dtype), adapters_of(layers), buffer
        variant = (options or LoraOptions()).variant(layers)
        super().__init__(
            sum(base.out_features for base in self.bases), first.in_features, *sides, *variant, **tensor_options
        )

    def write_weight(self, weight: Tensor) -> None:
        row = 0
        for base in self.bases:
            part = nf4_weight(base.weight.detach(), self.dtype, base.quant_state)
            dequantize(part, weight[row : row + base.out_features])
            row += base.out_features


def stack_nf4(
    layers: Sequence[nn.Module], dtype: torch.dtype, buffer: WeightBuffer, options: LoraOptions | None = None
) -> Nf4FusedLinear:
    """Layers of one input, all in NF4, as one product.

    Args:
        dtype: of the products.
    """
    bases: list[Any] = [base_of(layer) for layer in layers]
    weights = tuple(nf4_weight(base.weight, dtype) for base in bases)
    variant = (options or LoraOptions()).variant(layers)
    return Nf4FusedLinear(weights, _joined_bias(bases, dtype), adapters_of(layers), buffer, *variant)


def _joined_bias(bases: Sequence[Any], dtype: torch.dtype) -> Tensor | None:
    return None if bases[0].bias is None else torch.cat([base.bias.detach() for base in bases]).to(dtype)
