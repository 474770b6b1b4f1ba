"""Linear layers held in float8 as the products that the fused layers take."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from texlens.kernels.products import Coded
from texlens.models.fp8 import Fp8Linear
from texlens.models.packed.projections import adapters_of, base_of


def holds_fp8(layer: nn.Module) -> bool:
    return isinstance(base_of(layer), Fp8Linear)


def stack_coded(layers: Sequence[nn.Module]) -> Coded:
    """The layers (of one input) as one product; their codes become parts of its tensors, without a second copy."""
    bases: list[Any] = [base_of(layer) for layer in layers]
    bias = None if bases[0].bias is None else torch.cat([base.bias.detach() for base in bases])
    product = Coded(
        _side_by_side([base.codes for base in bases], 0),
        torch.cat([base.scale for base in bases]),
        _side_by_side([base.back_codes for base in bases], 1),
        bases[0].back_scale,
        bias,
        adapters_of(layers),
        bases[0].compute_dtype,
    )
    start = 0
    for base in bases:
        rows = slice(start, start + base.out_features)
        base.codes, base.back_codes = product.codes[rows, : product.width], product.back_codes[:, rows]
        start = rows.stop
    return product


def _side_by_side(parts: Sequence[Tensor], along: int) -> Tensor:
    """Codes joined as bytes: not every device joins float8."""
    return torch.cat([part.view(torch.uint8) for part in parts], along).view(parts[0].dtype)
