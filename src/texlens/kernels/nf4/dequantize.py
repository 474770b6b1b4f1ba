"""NF4 weights written out in 16 or 32 bits, by Triton on a GPU and by the reference elsewhere.

# N = width out, D = width in
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from texlens.kernels.backends import Registry, runs_triton
from texlens.kernels.nf4.format import Nf4Weight
from texlens.kernels.nf4.reference import dequantize_reference


@runtime_checkable
class Dequantize(Protocol):
    """See `dequantize`."""

    def __call__(self, weight: Nf4Weight, out: Tensor) -> None: ...


def _reference() -> Dequantize:
    return dequantize_reference


def _triton() -> Dequantize:
    from texlens.kernels.nf4.triton import dequantize as triton_dequantize

    return triton_dequantize


BACKENDS: Registry[Dequantize] = Registry(reference=_reference, triton=_triton)


def dequantize(weight: Nf4Weight, out: Float[Tensor, "N D"]) -> None:
    """Writes the values into `out`, whose rows may be strided, rounded once to its dtype."""
    on_gpu = out.is_cuda and runs_triton(torch.device("cuda"), True)
    BACKENDS["triton" if on_gpu else "reference"](weight, out)
