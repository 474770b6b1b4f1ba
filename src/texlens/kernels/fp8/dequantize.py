"""Stacked experts in float8 written out in 16 or 32 bits, by Triton on a GPU and by the reference elsewhere.

# E = experts, X = written ones, N = width out, D = width in
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from texlens.kernels.backends import Registry, runs_triton
from texlens.kernels.fp8.reference import dequantize_experts_reference


@runtime_checkable
class DequantizeFp8Experts(Protocol):
    """See `dequantize_experts`."""

    def __call__(self, codes: Tensor, scale: Tensor, out: Tensor, experts: Tensor | None = None) -> None: ...


def _reference() -> DequantizeFp8Experts:
    return dequantize_experts_reference


def _triton() -> DequantizeFp8Experts:
    from texlens.kernels.fp8.triton import dequantize_experts as triton_dequantize_experts

    return triton_dequantize_experts


BACKENDS: Registry[DequantizeFp8Experts] = Registry(reference=_reference, triton=_triton)


def dequantize_experts(
    codes: Float[Tensor, "E N D"],
    scale: Float[Tensor, "E N"],
    out: Float[Tensor, "X N D"],
    experts: Int[Tensor, " X"] | None = None,
) -> None:
    """Writes codes times the scales of their rows, of all experts or those of these numbers, into `out`, whose experts
    and rows may be strided, rounded once to its dtype."""
    on_gpu = out.is_cuda and runs_triton(torch.device("cuda"), True)
    BACKENDS["triton" if on_gpu else "reference"](codes, scale, out, experts)
