"""Triton kernels for LoRA products: their Protocol, and where they are used; `fused_linear` has the same in PyTorch.

# T = tokens, D = width in, N = width out, R = adapter ranks side by side, padded
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from texlens.kernels.adapter import Adapter
from texlens.kernels.backends import Registry, runs_triton

ENABLED = {
    "lora_b_backward": True,
    "rms_norm_backward": True,
    "norm_quantize": True,
    "quantize_adapters": True,
    "write_adapters": True,
}
"""Which operations run by Triton where it can run:

lora_b_backward: gradients of LoRA A outputs and of LoRA B, from one read of a gradient of at least `MIN_WIDTH` columns.
rms_norm_backward: the gradient of LoRA A after a norm, from the input of the norm, so that the normalized rows are not
    written again.
norm_quantize: the rows of a norm written in float8 at once, the LoRA A output computed from the input of the norm.
quantize_adapters: adapters quantized next to a float8 weight, both sides in two launches.
write_adapters: the copies of a product's adapters next to its weight, in one launch.
"""

MIN_WIDTH = 3072
"""Columns from which on one read is faster than two products of PyTorch (`benchmarks/lora_kernels.py`); the q/k/v of
vision towers has 3,072 and more."""


@runtime_checkable
class LoraKernels(Protocol):
    """Each reads the large tensor once."""

    def lora_b_backward(
        self,
        grad: Tensor,
        lora_b: Tensor,
        lora_a_out: Tensor,
        adapters: Sequence[Adapter],
        extra_columns: Tensor | None = None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See `fused_linear.lora_b_backward`."""
        ...

    def write_adapters(self, adapters: Sequence[Adapter], lora_b: Tensor, lora_a: Tensor) -> None:
        """See `FusedLinearBase.write_adapters`; the adapters' matrices are contiguous."""
        ...

    def norm_quantize(
        self,
        x: Tensor,
        weight: Tensor,
        eps: float,
        lora_a: Tensor,
        rescale: Tensor,
        residual: Tensor | None = None,
    ) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """The norm of x, plus `residual`, in float8 with its LoRA A output appended, and that output [T, R]."""
        ...

    def rms_norm_backward(
        self,
        grad: Tensor,
        x: Tensor,
        weight: Tensor,
        eps: float,
        residual: Tensor | None,
        grad_lora_a_out: Tensor,
        extra_columns: int = 0,
    ) -> tuple[Tensor, Tensor]:
        """The gradient of x plus `residual`, and `grad_lora_a_out` / rms(x)."""
        ...


def _triton() -> LoraKernels:
    from texlens.kernels.lora_linear import triton

    return triton


BACKENDS: Registry[LoraKernels] = Registry(triton=_triton)


def triton_lora(operation: str, x: Tensor) -> LoraKernels | None:
    """Our kernels if they do this operation on the device and in the dtype of `x`, else None."""
    return BACKENDS["triton"] if uses_triton(operation, x) else None


def uses_triton(operation: str, x: Tensor) -> bool:
    """Whether an operation of `ENABLED` runs by Triton for tensors like `x`."""
    return ENABLED[operation] and x.itemsize <= 4 and runs_triton(x.device)
