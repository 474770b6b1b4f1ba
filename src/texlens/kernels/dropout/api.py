"""LoRA products of dropped inputs, by Triton where it runs and by the reference elsewhere.

# T = tokens, D = width, R = ranks
"""

from typing import Protocol, runtime_checkable

from torch import Tensor

from texlens.kernels.backends import Registry, runs_triton
from texlens.kernels.dropout.mask import LoraDropout


@runtime_checkable
class DropoutKernels(Protocol):
    """See `reference`."""

    def dropped_product(self, x: Tensor, lora_a: Tensor, dropout: LoraDropout) -> Tensor: ...

    def dropped_sum(self, grad_lora_a_out: Tensor, x: Tensor, dropout: LoraDropout) -> Tensor: ...

    def write_dropped_grad(
        self, dx: Tensor, grad_lora_a_out: Tensor, lora_a: Tensor, dropout: LoraDropout
    ) -> Tensor: ...

    def add_dropped_grad(self, dx: Tensor, grad_lora_a_out: Tensor, lora_a: Tensor, dropout: LoraDropout) -> Tensor: ...


def _reference() -> DropoutKernels:
    from texlens.kernels.dropout import reference

    return reference


def _triton() -> DropoutKernels:
    from texlens.kernels.dropout import triton

    return triton


BACKENDS: Registry[DropoutKernels] = Registry(reference=_reference, triton=_triton)


def dropout_kernels(x: Tensor) -> DropoutKernels:
    return BACKENDS["triton" if x.itemsize <= 4 and runs_triton(x.device) else "reference"]
