"""Where SwiGLU and the adapters around it run by our own kernels (`triton_mlp`); `products` has the separate passes."""

import importlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from texlens.kernels.attention.api import own_kernels

MOST_RANKS = 32
"""Of one adapter: sums over rows for more would not fit into registers."""

OWN = {("forward", "bordered"): True, ("forward", "coded"): True, ("back", "bordered"): True, ("back", "coded"): True}
"""What runs by `triton_mlp` where Triton does."""


def own_mlp(part: str, form: str, wide: Tensor, adapters: Sequence[Any]) -> Any:
    """The module with our kernels if they do this part for these adapters (`products.Adapter`), else None."""
    if not OWN[part, form] or own_kernels(wide.device) is None or why_not(adapters, wide.dtype):
        return None
    return importlib.import_module("texlens.kernels.swiglu.triton")


def why_not(adapters: Sequence[Any], dtype: torch.dtype) -> str | None:
    """What keeps a product's adapters from being made together with SwiGLU, or None."""
    if not adapters:
        return "no adapters"
    if dtype.itemsize > 4:
        return f"{dtype} numbers"
    most = max(len(adapter.down) for adapter in adapters)
    return f"{most} ranks, more than {MOST_RANKS}" if most > MOST_RANKS else None
