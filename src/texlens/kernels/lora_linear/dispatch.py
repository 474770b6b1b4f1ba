"""Which kernels of our own the adapters' thin products run by, and where; `products` has the same in plain PyTorch."""

import importlib
from typing import Any

from torch import Tensor

from texlens.kernels.attention.api import own_kernels

OWN = {"pair": True, "unnormed": True, "norm_codes": True, "codes_beside": True}
"""What runs by `triton_thin` and `triton_fp8` where Triton does:

pair: the slopes of the thin product and of `up`, from one reading of a slope of at least `WIDE` columns.
unnormed: the slope of `down` behind a norm, from the norm's input, so that the normalized rows are not written again.
norm_codes: the norm's rows written as codes at once, the thin product made from the norm's input; for products in 8.
codes_beside: adapters coded beside a weight, both sides in two launches; for products in 8 bits.
"""

WIDE = 4096
"""Columns from which on one reading is faster than PyTorch's two products (`benchmarks/thin_kernels.py`)."""


def own_thin(part: str, beside: Tensor) -> Any:
    """The module with our kernels if they do this part on the device of `beside`, and in its dtype; else None."""
    if not OWN[part] or beside.itemsize > 4 or own_kernels(beside.device) is None:
        return None
    return importlib.import_module(
        "texlens.kernels.fp8.triton" if part == "codes_beside" else "texlens.kernels.lora_linear.triton_lora_a"
    )
