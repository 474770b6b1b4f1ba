"""The elementwise operations of the fused layers: their Protocol, and its backends.

# T = tokens, D = width, H = query heads, G = key/value heads, W = width of a head, F = width of the MLP
"""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from texlens.kernels.backends import Registry


@runtime_checkable
class ElementwiseKernels(Protocol):
    """Results with `extra_columns` have so many columns more, whose values are undefined."""

    def rms_norm(
        self, x: Float[Tensor, "T D"], weight: Float[Tensor, " D"], eps: float, extra_columns: int = 0
    ) -> Float[Tensor, "T columns"]:
        """x / rms(x) * weight."""
        ...

    def add_rms_norm(
        self,
        x: Float[Tensor, "T D"],
        y: Float[Tensor, "T D"],
        weight: Float[Tensor, " D"],
        eps: float,
        extra_columns: int = 0,
    ) -> tuple[Float[Tensor, "T D"], Float[Tensor, "T columns"]]:
        """x + y, which may be written over y, and its norm."""
        ...

    def rms_norm_backward(
        self,
        grad: Float[Tensor, "T D"],
        x: Float[Tensor, "T D"],
        weight: Float[Tensor, " D"],
        eps: float,
        residual: Float[Tensor, "T D"] | None,
        extra_columns: int = 0,
    ) -> tuple[Float[Tensor, "T columns"], Float[Tensor, "T D"]]:
        """The gradient of x plus `residual`, and the norm of x."""
        ...

    def swiglu(self, gate_up: Float[Tensor, "T 2*F"], extra_columns: int = 0) -> Float[Tensor, "T columns"]:
        """silu(gate) * up."""
        ...

    def swiglu_backward(
        self, grad: Float[Tensor, "T F"], gate_up: Float[Tensor, "T 2*F"], extra_columns: int = 0
    ) -> tuple[Float[Tensor, "T columns"], Float[Tensor, "T F"]]:
        """The gradient of `gate_up`, and the result of `swiglu`."""
        ...

    def split_heads_norm_rope(
        self,
        y: Float[Tensor, "T heads*W"],
        queries: int,
        keys: int,
        width: int,
        norms: tuple[Float[Tensor, " W"], Float[Tensor, " W"]] | None,
        eps: float,
        cos: Float[Tensor, "T W"],
        sin: Float[Tensor, "T W"],
    ) -> tuple[Float[Tensor, "T H W"], Float[Tensor, "T G W"]]:
        """Rotated queries and keys, normalized first where there are norms, from the q/k/v product."""
        ...

    def split_heads_norm_rope_backward(
        self,
        dquery: Float[Tensor, "T H W"],
        dkey: Float[Tensor, "T G W"],
        dvalue: Float[Tensor, "T G W"],
        y: Float[Tensor, "T heads*W"] | None,
        norms: tuple[Float[Tensor, " W"], Float[Tensor, " W"]] | None,
        eps: float,
        cos: Float[Tensor, "T W"],
        sin: Float[Tensor, "T W"],
        extra_columns: int = 0,
    ) -> Float[Tensor, "T columns"]:
        """The gradient of the q/k/v product."""
        ...


def _cpu() -> ElementwiseKernels:
    from texlens.kernels.elementwise import cpu

    return cpu


def _triton() -> ElementwiseKernels:
    from texlens.kernels.elementwise import triton

    return triton


BACKENDS: Registry[ElementwiseKernels] = Registry(cpu=_cpu, triton=_triton)
