"""The parts of a decoding step that have kernels of their own, and which backend runs them.

To add a backend, write a module with these functions and choose it in `decode_kernels`.
"""

import importlib.util
import os
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from texlens.kernels.decode import cpu, reference
from texlens.kernels.decode.lora import Product
from texlens.kernels.decode.reference import HeadShape


@runtime_checkable
class DecodeKernels(Protocol):
    """The functions of `reference`, which has their contracts."""

    def norm(self, x_TD: Tensor, weight_D: Tensor, eps: float) -> Tensor: ...

    def add_norm(self, x_TD: Tensor, product: Product, weight_D: Tensor, eps: float) -> tuple[Tensor, Tensor]: ...

    def split_heads(
        self,
        product: Product,
        heads: HeadShape,
        cos_TW: Tensor,
        sin_TW: Tensor,
        keys_CGW: Tensor,
        values_CGW: Tensor,
        at_T: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]: ...

    def attend(
        self,
        query_THW: Tensor,
        keys_CGW: Tensor,
        values_CGW: Tensor,
        pages_TP: Tensor,
        lengths_T: Tensor,
        page_size: int,
    ) -> Tensor: ...

    def swiglu(self, product: Product) -> Tensor: ...

    def likeliest(self, logits_TV: Tensor) -> tuple[Tensor, Tensor, Tensor]: ...

    def drawn(self, logits_TV: Tensor, temperature_T: Tensor, seed_T: Tensor, count_T: Tensor) -> Tensor: ...


def decode_kernels(device: torch.device) -> DecodeKernels:
    """Triton's kernels on a GPU (or in Triton's interpreter), on a CPU its own, else the reference."""
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    if (device.type == "cuda" or interpreted) and importlib.util.find_spec("triton") is not None:
        from texlens.kernels.decode import triton

        return triton  # type: ignore[return-value]
    return cpu if device.type == "cpu" else reference  # type: ignore[return-value]
