"""The scaling of DoRA's outputs and of their gradients, by Triton where it runs and by the reference elsewhere.

# T = tokens, N = width out
"""

from typing import Protocol, runtime_checkable

from torch import Tensor

from texlens.kernels.backends import Registry, runs_triton


@runtime_checkable
class DoraKernels(Protocol):
    """See `reference`."""

    def scale_columns(self, x: Tensor, scale: Tensor, bias: Tensor | None, out: Tensor) -> Tensor: ...

    def scale_grad(self, grad: Tensor, x: Tensor, scale: Tensor, out: Tensor) -> Tensor: ...


def _reference() -> DoraKernels:
    from texlens.kernels.dora import reference

    return reference


def _triton() -> DoraKernels:
    from texlens.kernels.dora import triton

    return triton


BACKENDS: Registry[DoraKernels] = Registry(reference=_reference, triton=_triton)


def dora_kernels(x: Tensor) -> DoraKernels:
    return BACKENDS["triton" if x.itemsize <= 4 and runs_triton(x.device) else "reference"]
