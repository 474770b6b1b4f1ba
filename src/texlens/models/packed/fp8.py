"""Layers in float8 as the products that the fused layers take, and the blocks of the vision tower over them."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from texlens.kernels.fp8.format import FP8_DTYPE, padded_columns
from texlens.kernels.lora_linear.fp8_linear import Fp8FusedLinear
from texlens.kernels.lora_linear.fused_linear import FusedLinearBase
from texlens.kernels.vision_fp8.api import gelu_quantize, norm_quantize, split_heads_rope
from texlens.kernels.vision_fp8.format import GELUS
from texlens.models.fp8 import Fp8Linear
from texlens.models.packed.projections import LoraOptions, adapters_of, base_of
from texlens.models.packed.weight_buffer import WeightBuffer


def holds_fp8(layer: nn.Module) -> bool:
    return isinstance(base_of(layer), Fp8Linear)


def stack_fp8(layers: Sequence[nn.Module], options: LoraOptions | None = None) -> Fp8FusedLinear:
    """The layers (of one input) as one product; their weights become views of its tensors, without a second copy."""
    bases: list[Any] = [base_of(layer) for layer in layers]
    bias = None if bases[0].bias is None else torch.cat([base.bias.detach() for base in bases])
    product = Fp8FusedLinear(
        _joined([base.codes for base in bases], 0),
        torch.cat([base.scale for base in bases]),
        _joined([base.back_codes for base in bases], 1),
        bases[0].back_scale,
        bias,
        adapters_of(layers),
        bases[0].compute_dtype,
        *(options or LoraOptions()).variant(layers),
    )
    start = 0
    for base in bases:
        rows = slice(start, start + base.out_features)
        base.codes, base.back_codes = product.weight[rows, : product.width], product.transposed[:, rows]
        start = rows.stop
    return product


class GatheredFp8Linear(Fp8FusedLinear):
    """Stacked layers whose codes are divided over processes, and copied next to the adapters' columns into a buffer for
    each product; they are read from the modules, because FSDP replaces parameters when it gathers and frees them."""

    def __init__(self, layers: Sequence[nn.Module], buffer: WeightBuffer, options: LoraOptions | None = None):
        self.bases: list[Any] = [base_of(layer) for layer in layers]
        first = self.bases[0]
        bias = None if first.bias is None else torch.cat([base.bias.detach() for base in self.bases])
        height, variant = sum(base.out_features for base in self.bases), (options or LoraOptions()).variant(layers)
        FusedLinearBase.__init__(self, height, first.in_features, bias, adapters_of(layers), *variant)
        self.scale, self.transposed_scale = torch.cat([base.scale for base in self.bases]), first.back_scale
        device, self.dtype = first.scale.device, first.compute_dtype
        self.lora_b = torch.zeros(height, self.ranks, dtype=self.dtype, device=device)
        self.lora_a = torch.zeros(self.ranks, self.width, dtype=self.dtype, device=device)
        self._rescale = self._backward_rescale = self.scale.new_ones(1)
        columns = padded_columns(self.ranks)
        self._sides = [
            GatheredCodes(self.bases, attribute, along, (rows, self.height + self.width - rows), columns, device)
            for attribute, along, rows in (("codes", 0, self.height), ("back_codes", 1, self.width))
        ]
        self.buffer = buffer
        for side in self._sides:
            buffer.reserve(math.prod(side.shape))

    @property
    def weight(self) -> Tensor:  # pyrefly: ignore[bad-override]
        return self.buffer.weight_of(self._sides[0]).view(FP8_DTYPE)

    @property
    def transposed(self) -> Tensor:  # pyrefly: ignore[bad-override]
        return self.buffer.weight_of(self._sides[1]).view(FP8_DTYPE)

    def adapter_columns(self) -> tuple[Tensor, Tensor]:
        """Outside of the buffer, which is written again after they have changed."""
        self.buffer.forget()
        first, second = (side.columns.view(FP8_DTYPE) for side in self._sides)
        return first, second


class GatheredCodes:
    """See `weight_buffer.BufferedProduct`: the bytes of gathered codes with the adapters' columns at their right.

    Args:
        along: the dimension in which the codes of several layers are joined.
        size: of the joined codes.
        columns: of the adapters.
    """

    dtype = torch.uint8

    def __init__(
        self,
        bases: Sequence[Any],
        attribute: str,
        along: int,
        size: tuple[int, int],
        columns: int,
        device: torch.device,
    ):
        self.bases, self.attribute, self.along, self.size, self.device = bases, attribute, along, size, device
        self.columns = torch.zeros(size[0], columns, dtype=torch.uint8, device=device)
        self.shape = size[0], size[1] + columns

    def take_changes(self) -> bool:
        return False

    def write_augmented(self, augmented: Tensor) -> None:
        parts = [getattr(base, self.attribute).detach().view(torch.uint8) for base in self.bases]
        torch.cat(parts, self.along, out=augmented[:, : self.size[1]])
        augmented[:, self.size[1] :] = self.columns


def _joined(parts: Sequence[Tensor], along: int) -> Tensor:
    """Weights concatenated as bytes: not every device concatenates float8."""
    return torch.cat([part.view(torch.uint8) for part in parts], along).view(parts[0].dtype)


# A vision block: P = patches, D = width, H = heads, W = width of a head ----------------------------------------------


def before_attention(
    block: Any, x: Tensor, residual: Tensor | None, cos: Tensor, sin: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x + last [P, D], rotated queries and keys, and values [P, H, W]."""
    x, quantized = norm_quantize(x, residual, *_norm_parts(block.norm1))
    return x, *split_heads_rope(block.attn.qkv.product(*quantized), block.attn.num_heads, cos, sin)


def mlp_in_fp8(block: Any, x: Tensor, y: Tensor, gelu: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """x + y [P, D], and the output of the block's MLP."""
    first, second = _mlp_layers(block.mlp)
    x, quantized = norm_quantize(x, y, *_norm_parts(block.norm2))
    return x, second.product(*gelu_quantize(first.product(*quantized), gelu))


def fp8_gelu(mlp: nn.Module, vision_config: Any) -> tuple[float, float] | None:
    """The activation that `mlp_in_fp8` applies, one of `GELUS`; None for an MLP that it can't run."""
    layers = _mlp_layers(mlp)
    is_fp8 = bool(layers) and all(isinstance(layer, Fp8Linear) for layer in layers)
    return GELUS.get(getattr(vision_config, "hidden_act", "")) if is_fp8 else None


def _mlp_layers(mlp: Any) -> tuple[Any, ...]:
    """The two layers of an MLP without a gate, under either of their names; empty for one with a gate."""
    for names in (("linear_fc1", "linear_fc2"), ("fc1", "fc2")):
        if hasattr(mlp, names[0]):
            return tuple(getattr(mlp, name) for name in names)
    return ()


def _norm_parts(norm: Any) -> tuple[Tensor, Tensor | None, float]:
    """Weight, bias and epsilon of a layer norm, or of a root mean square norm, which has no bias."""
    bias = getattr(norm, "bias", None)
    return norm.weight, bias, norm.variance_epsilon if bias is None else norm.eps
