"""The adapter of one linear layer inside a product of several stacked layers."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

MULTIPLE = 8
"""Columns of an expert's adapter come in multiples of this: rows in 16 bits then begin at multiples of 16 bytes."""
ALIGNMENT = 16
"""Values of a row with its extra columns are a multiple of this: Triton reads whole vectors of such rows only, and
cuBLAS's fastest products need half of it."""


class Adapter(NamedTuple):
    """LoRA A [r, D] and B [n, r] of one layer, its scaling, and its position in the stacked product.

    Args:
        rows: of the stacked weight [N, D], those of the layer.
        columns: of all ranks side by side, those of the adapter.
    """

    lora_a: Tensor
    lora_b: Tensor
    scaling: float
    rows: slice
    columns: slice


def padded_ranks(adapters: Sequence[Adapter], routers: int = 0, width: int = 0) -> int:
    """Columns after the `width` columns of a row that hold the ranks of all adapters side by side, and the outputs of
    their routers."""
    return -(-(width + adapters[-1].columns.stop + routers) // ALIGNMENT) * ALIGNMENT - width if adapters else 0
