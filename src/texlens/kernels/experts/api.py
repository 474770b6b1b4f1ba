"""The operations between the grouped products of a mixture of experts: their Protocol, and its backends.

# T = tokens, D = width, K = experts of a token, S = T K pairs sorted by expert, F = width of an expert
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from texlens.kernels.backends import Registry, runs_triton


@runtime_checkable
class ExpertKernels(Protocol):
    """Results with `extra_columns` have so many columns more, whose values are undefined."""

    def gather(
        self, x: Float[Tensor, "T D"], tokens: Int[Tensor, " S"], extra_columns: int = 0
    ) -> Float[Tensor, "S columns"]:
        """The row of each pair's token."""
        ...

    def combine(
        self,
        y: Float[Tensor, "S D"],
        places: Int[Tensor, "T K"],
        weights: Float[Tensor, "T K"] | None,
        addend: Float[Tensor, "T D"] | None,
        dtype: torch.dtype | None = None,
    ) -> Float[Tensor, "T D"]:
        """The sum of each token's pairs, weighted if given, plus `addend`; sums in float32, results in `dtype`, or that
        of `y`."""
        ...

    def swiglu(self, gate_up: Float[Tensor, "S 2*F"], extra_columns: int = 0) -> Float[Tensor, "S columns"]:
        """silu(gate) * up."""
        ...

    def swiglu_backward(
        self,
        grad: Float[Tensor, "S F"],
        gate_up: Float[Tensor, "S 2*F"],
        weights: Float[Tensor, " S"],
        extra_columns: int = 0,
    ) -> tuple[Float[Tensor, "S columns"], Float[Tensor, "S F"], Float[Tensor, " S"]]:
        """From the gradient of act = silu(gate) * up before it is multiplied by its pair's weight: the gradient of
        `gate_up` with the weight, weight * act, and the gradient of the weights, sum of grad * act."""
        ...


def _reference() -> ExpertKernels:
    from texlens.kernels.experts import reference

    return reference


def _triton() -> ExpertKernels:
    from texlens.kernels.experts import triton

    return triton


BACKENDS: Registry[ExpertKernels] = Registry(reference=_reference, triton=_triton)


def expert_kernels(x: Tensor) -> ExpertKernels:
    """Triton where it runs, for values of at most 32 bits."""
    return BACKENDS["triton" if x.itemsize <= 4 and runs_triton(x.device) else "reference"]
