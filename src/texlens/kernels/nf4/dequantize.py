"""NF4 weights written out in 16 or 32 bits, by Triton on a GPU and by the reference elsewhere.

# E = experts, X = written ones, N = width out, D = width in
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from texlens.kernels.backends import Registry, runs_triton
from texlens.kernels.nf4.format import Nf4Weight
from texlens.kernels.nf4.reference import dequantize_experts_reference, dequantize_reference


@runtime_checkable
class Dequantize(Protocol):
    """See `dequantize`."""

    def __call__(self, weight: Nf4Weight, out: Tensor) -> None: ...


def _reference() -> Dequantize:
    return dequantize_reference


def _triton() -> Dequantize:
    from texlens.kernels.nf4.triton import dequantize as triton_dequantize

    return triton_dequantize


@runtime_checkable
class DequantizeNf4Experts(Protocol):
    """See `dequantize_experts`."""

    def __call__(self, weight: Nf4Weight, out: Tensor, experts: Tensor | None = None) -> None: ...


def _experts_reference() -> DequantizeNf4Experts:
    return dequantize_experts_reference


def _experts_triton() -> DequantizeNf4Experts:
    from texlens.kernels.nf4.triton import dequantize_experts as triton_dequantize_experts

    return triton_dequantize_experts


BACKENDS: Registry[Dequantize] = Registry(reference=_reference, triton=_triton)
EXPERT_BACKENDS: Registry[DequantizeNf4Experts] = Registry(reference=_experts_reference, triton=_experts_triton)


def dequantize(weight: Nf4Weight, out: Float[Tensor, "N D"]) -> None:
    """Writes the values into `out`, whose rows may be strided, rounded once to its dtype."""
    BACKENDS[_backend(out)](weight, out)


def dequantize_experts(
    weight: Nf4Weight, out: Float[Tensor, "X N D"], experts: Int[Tensor, " X"] | None = None
) -> None:
    """Writes a stack, or the experts of these numbers, into `out`, whose experts and rows may be strided."""
    EXPERT_BACKENDS[_backend(out)](weight, out, experts)


def _backend(out: Tensor) -> str:
    return "triton" if out.is_cuda and runs_triton(torch.device("cuda"), True) else "reference"
